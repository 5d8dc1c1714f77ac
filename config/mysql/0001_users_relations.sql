-- Users, relations, conversations, version logs. Times are ms since 1970. Ids compare bytewise (utf8mb4_bin).

CREATE TABLE IF NOT EXISTS users (
  user_id            VARCHAR(255) NOT NULL,
  nickname           VARCHAR(255) NOT NULL DEFAULT '',
  face_url           TEXT NOT NULL,
  ex                 TEXT NOT NULL,
  create_time        BIGINT NOT NULL,
  app_manger_level   INT NOT NULL DEFAULT 0,
  global_recv_msg_opt INT NOT NULL DEFAULT 0,
  id                 BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  PRIMARY KEY (user_id),
  UNIQUE KEY storage_order (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS friends (
  owner_user_id  VARCHAR(255) NOT NULL,
  friend_user_id VARCHAR(255) NOT NULL,
  remark         VARCHAR(255) NOT NULL DEFAULT '',
  create_time    BIGINT NOT NULL,
  add_source     INT NOT NULL DEFAULT 0,
  operator_user_id VARCHAR(255) NOT NULL DEFAULT '',
  ex             TEXT NOT NULL,
  is_pinned      TINYINT NOT NULL DEFAULT 0,
  friend_nickname VARCHAR(255) NOT NULL DEFAULT '',
  friend_face_url TEXT NOT NULL,
  id             BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  PRIMARY KEY (owner_user_id, friend_user_id),
  KEY friend (friend_user_id),
  UNIQUE KEY storage_order (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS friend_requests (
  from_user_id  VARCHAR(255) NOT NULL,
  to_user_id    VARCHAR(255) NOT NULL,
  handle_result INT NOT NULL DEFAULT 0,
  req_msg       TEXT NOT NULL,
  create_time   BIGINT NOT NULL,
  handler_user_id VARCHAR(255) NOT NULL DEFAULT '',
  handle_msg    TEXT NOT NULL,
  handle_time   BIGINT NOT NULL DEFAULT 0,
  ex            TEXT NOT NULL,
  PRIMARY KEY (from_user_id, to_user_id),
  KEY recipient (to_user_id, create_time)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS blacks (
  owner_user_id VARCHAR(255) NOT NULL,
  block_user_id VARCHAR(255) NOT NULL,
  create_time   BIGINT NOT NULL,
  add_source    INT NOT NULL DEFAULT 0,
  operator_user_id VARCHAR(255) NOT NULL DEFAULT '',
  ex            TEXT NOT NULL,
  id            BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  PRIMARY KEY (owner_user_id, block_user_id),
  UNIQUE KEY storage_order (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS chat_groups (
  group_id       VARCHAR(255) NOT NULL,
  group_name     VARCHAR(255) NOT NULL DEFAULT '',
  notification   TEXT NOT NULL,
  introduction   TEXT NOT NULL,
  face_url       TEXT NOT NULL,
  ex             TEXT NOT NULL,
  create_time    BIGINT NOT NULL,
  status         INT NOT NULL DEFAULT 0,
  creator_user_id VARCHAR(255) NOT NULL DEFAULT '',
  group_type     INT NOT NULL DEFAULT 2,
  need_verification INT NOT NULL DEFAULT 0,
  look_member_info  INT NOT NULL DEFAULT 0,
  apply_member_friend INT NOT NULL DEFAULT 0,
  notification_update_time BIGINT NOT NULL DEFAULT 0,
  notification_user_id VARCHAR(255) NOT NULL DEFAULT '',
  PRIMARY KEY (group_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS group_members (
  group_id       VARCHAR(255) NOT NULL,
  user_id        VARCHAR(255) NOT NULL,
  nickname       VARCHAR(255) NOT NULL DEFAULT '',
  face_url       TEXT NOT NULL,
  role_level     INT NOT NULL DEFAULT 20,
  join_time      BIGINT NOT NULL,
  join_source    INT NOT NULL DEFAULT 0,
  inviter_user_id  VARCHAR(255) NOT NULL DEFAULT '',
  operator_user_id VARCHAR(255) NOT NULL DEFAULT '',
  mute_end_time  BIGINT NOT NULL DEFAULT 0,
  ex             TEXT NOT NULL,
  id             BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  PRIMARY KEY (group_id, user_id),
  KEY joined (user_id, group_id),
  UNIQUE KEY storage_order (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS conversations (
  owner_user_id     VARCHAR(255) NOT NULL,
  conversation_id   VARCHAR(520) NOT NULL,
  recv_msg_opt      INT NOT NULL DEFAULT 0,
  conversation_type INT NOT NULL DEFAULT 0,
  user_id           VARCHAR(255) NOT NULL DEFAULT '',
  group_id          VARCHAR(255) NOT NULL DEFAULT '',
  is_pinned         TINYINT NOT NULL DEFAULT 0,
  attached_info     TEXT NOT NULL,
  is_private_chat   TINYINT NOT NULL DEFAULT 0,
  group_at_type     INT NOT NULL DEFAULT 0,
  ex                TEXT NOT NULL,
  burn_duration     INT NOT NULL DEFAULT 0,
  min_seq           BIGINT NOT NULL DEFAULT 0,
  max_seq           BIGINT NOT NULL DEFAULT 0,
  msg_destruct_time BIGINT NOT NULL DEFAULT 0,
  latest_msg_destruct_time BIGINT NOT NULL DEFAULT 0,
  is_msg_destruct   TINYINT NOT NULL DEFAULT 0,
  create_time       BIGINT NOT NULL DEFAULT 0,
  id                BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  owner_hash        BINARY(16) NOT NULL,     -- sha128(owner, conversation): the pair is too long for one key
  PRIMARY KEY (owner_hash),
  UNIQUE KEY storage_order (id),
  KEY owner (owner_user_id, id),
  KEY peer (user_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- Per (conversation, user): 0 = unset. read_seq is never lowered (GREATEST).
CREATE TABLE IF NOT EXISTS seq_user (
  user_id         VARCHAR(255) NOT NULL,
  conversation_id VARCHAR(520) NOT NULL,
  owner_hash      BINARY(16) NOT NULL,
  read_seq        BIGINT NOT NULL DEFAULT 0,
  min_seq         BIGINT NOT NULL DEFAULT 0,
  max_seq         BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (owner_hash),
  KEY user (user_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- rest.md D.1. kind: 1 friend, 2 join, 3 member, 4 conversation.
CREATE TABLE IF NOT EXISTS version_docs (
  kind      TINYINT NOT NULL,
  owner_id  VARCHAR(255) NOT NULL,
  doc_id    BINARY(12) NOT NULL,
  version   BIGINT UNSIGNED NOT NULL DEFAULT 0,
  PRIMARY KEY (kind, owner_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS version_entries (
  kind       TINYINT NOT NULL,
  owner_id   VARCHAR(255) NOT NULL,
  element_id VARCHAR(520) NOT NULL,
  element_hash BINARY(16) NOT NULL,          -- sha128(kind, owner, element)
  state      TINYINT NOT NULL,               -- 1 insert, 2 delete, 3 update
  version    BIGINT UNSIGNED NOT NULL,
  PRIMARY KEY (element_hash),
  KEY since (kind, owner_id, version)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
