"""The law of routing as data and tables: what a rule says, where it comes from, and since when. Pure, like the domain that asks it."""
