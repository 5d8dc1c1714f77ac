-- Messages counted per day, for /statistics (docs/records.md, Counts).

-- kind: 1 messages of single chats by sender, 2 messages of groups by sender, 3 messages of groups by group.
CREATE TABLE IF NOT EXISTS msg_counts (
  kind  TINYINT NOT NULL,
  day   BIGINT NOT NULL,                     -- of sendTime: days since 1970, UTC
  name  VARCHAR(255) NOT NULL,               -- the sender or the group
  n     BIGINT NOT NULL,
  PRIMARY KEY (kind, day, name)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- One row. What was sent at counted_from or later is in msg_counts. What is older is counted by openim-archive in pieces, from the newest
-- to the oldest, until this is 0: a statement over a large history would be a transaction of hours, and all workers wait for migrations.
CREATE TABLE IF NOT EXISTS msg_counted (
  id           TINYINT NOT NULL,
  counted_from BIGINT NOT NULL,
  PRIMARY KEY (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
INSERT IGNORE INTO msg_counted (id, counted_from) VALUES (1, 9223372036854775807);

-- next_offset of the newest transaction that counted: where they differ, an openim-archive of before has written.
ALTER TABLE archive_offset ADD COLUMN counted_offset BIGINT NOT NULL DEFAULT 0;
UPDATE archive_offset SET counted_offset = next_offset;

-- Who sent what in a time, from the index alone; the name stays for the workers of before.
ALTER TABLE msg_history DROP KEY sent, ADD KEY sent (send_time, send_id);
