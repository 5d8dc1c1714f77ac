-- The full history and the archive's own position.

CREATE TABLE IF NOT EXISTS msg_history (
  conversation_id VARCHAR(520) NOT NULL,
  seq             BIGINT NOT NULL,
  dedup           BINARY(16) NOT NULL,       -- docs/records.md, Duplicates
  client_msg_id   VARCHAR(255) NOT NULL,
  server_msg_id   CHAR(32) NOT NULL,
  send_id         VARCHAR(255) NOT NULL,
  recv_id         VARCHAR(255) NOT NULL,     -- the group for group sessions
  sender_platform_id INT NOT NULL,
  sender_nick_name VARCHAR(255) NOT NULL,
  sender_face_url TEXT NOT NULL,
  session_type    INT NOT NULL,
  msg_from        INT NOT NULL,
  content_type    INT NOT NULL,
  content         MEDIUMTEXT NOT NULL,       -- for people and search; data is the truth
  send_time       BIGINT NOT NULL,
  create_time     BIGINT NOT NULL,
  data            MEDIUMBLOB NOT NULL,       -- packed MsgData, byte for byte
  PRIMARY KEY (conversation_id, seq),
  UNIQUE KEY dedup (dedup),
  KEY sent (send_time),
  KEY sender (send_id, send_time)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS conversation_seq (
  conversation_id VARCHAR(520) NOT NULL,
  archived_seq    BIGINT NOT NULL DEFAULT 0, -- the newest seq that the archive holds
  archived_time   BIGINT NOT NULL DEFAULT 0, -- its sendTime
  min_seq         BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (conversation_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS archive_offset (
  partition_id INT NOT NULL,
  next_offset  BIGINT NOT NULL,
  fence        BIGINT NOT NULL,
  PRIMARY KEY (partition_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
