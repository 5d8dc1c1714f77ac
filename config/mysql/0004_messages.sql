-- What happens to stored messages later (docs/records.md, Marks). msg_history, MongoDB and Redis keep each message as it was stored.

-- A revoked message. The original stays in msg_history under the same key.
CREATE TABLE IF NOT EXISTS msg_revoked (
  conversation_id VARCHAR(520) NOT NULL,
  seq             BIGINT NOT NULL,
  user_id         VARCHAR(255) NOT NULL,     -- who revoked it, and what readers are told of him
  nickname        VARCHAR(255) NOT NULL,
  role            INT NOT NULL,
  revoke_time     BIGINT NOT NULL,
  block_hash      BINARY(16) NOT NULL,       -- as in msg_marks
  PRIMARY KEY (conversation_id, seq),
  KEY block (block_hash)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- One bit a message, a row for 512 of them: bit (seq - 1) % 64 of w((seq - 1) / 64 % 8) in block (seq - 1) / 512.
-- kind: 1 deleted for everybody (user_id ''), 2 read by user_id (single chats).
CREATE TABLE IF NOT EXISTS msg_marks (
  block_hash      BINARY(16) NOT NULL,       -- sha128(conversation, block)
  kind            TINYINT NOT NULL,
  user_id         VARCHAR(255) NOT NULL DEFAULT '',
  conversation_id VARCHAR(520) NOT NULL,
  block           BIGINT NOT NULL,
  w0 BIGINT UNSIGNED NOT NULL, w1 BIGINT UNSIGNED NOT NULL, w2 BIGINT UNSIGNED NOT NULL, w3 BIGINT UNSIGNED NOT NULL,
  w4 BIGINT UNSIGNED NOT NULL, w5 BIGINT UNSIGNED NOT NULL, w6 BIGINT UNSIGNED NOT NULL, w7 BIGINT UNSIGNED NOT NULL,
  PRIMARY KEY (block_hash, kind, user_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- The same for what a user deleted for itself; kind 3. A table of its own: a group has as many such rows as members.
CREATE TABLE IF NOT EXISTS msg_hidden (
  block_hash      BINARY(16) NOT NULL,       -- sha128(user, conversation, block)
  kind            TINYINT NOT NULL,
  user_id         VARCHAR(255) NOT NULL,
  conversation_id VARCHAR(520) NOT NULL,
  block           BIGINT NOT NULL,
  w0 BIGINT UNSIGNED NOT NULL, w1 BIGINT UNSIGNED NOT NULL, w2 BIGINT UNSIGNED NOT NULL, w3 BIGINT UNSIGNED NOT NULL,
  w4 BIGINT UNSIGNED NOT NULL, w5 BIGINT UNSIGNED NOT NULL, w6 BIGINT UNSIGNED NOT NULL, w7 BIGINT UNSIGNED NOT NULL,
  PRIMARY KEY (block_hash)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- /msg/search_msg: each filter has an order of its own.
ALTER TABLE msg_history
  ADD KEY receiver (recv_id, send_time),
  ADD KEY content_type (content_type, send_time);
