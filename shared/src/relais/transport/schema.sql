-- Schema `transport` of database `relais`: how far consumers say they are. Run by the owner's role, as often as one likes.
-- Losing this table loses nothing: relays then keep and publish everything until consumers have said again where they are.

CREATE SCHEMA IF NOT EXISTS transport;

-- One row per consumer and partition, written by the partition's holder about once a second; see progress.py for what the numbers mean.
CREATE TABLE IF NOT EXISTS transport.progress (
    consumer   text        NOT NULL,
    log        text        NOT NULL,
    partition  smallint    NOT NULL CHECK (partition BETWEEN 0 AND 31),
    position   bigint      NOT NULL,
    frontier   bigint      NOT NULL,
    event_id   uuid,
    hole       bigint      NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (log, consumer, partition)
) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);

REVOKE ALL ON SCHEMA transport FROM PUBLIC;
REVOKE ALL ON transport.progress FROM PUBLIC;
