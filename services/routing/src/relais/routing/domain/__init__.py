"""What routing decides, all of it pure: who must receive a document and why, and what a policy is."""
