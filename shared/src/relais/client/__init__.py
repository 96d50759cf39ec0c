"""A typed client of the platform: plain records in and out, protobuf stays inside. `relais.client.client.RelaisClient` is the way in."""
