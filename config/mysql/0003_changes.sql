-- What the changes of users, friends, groups and conversations need beside 0001.

-- What a request has changed and told, for when its record is handled again (docs/records.md, Changes).
CREATE TABLE IF NOT EXISTS request_log (
  request_id  BINARY(16) NOT NULL,
  create_time BIGINT NOT NULL,
  done        MEDIUMBLOB NOT NULL,             -- packed openim.internal.Done
  PRIMARY KEY (request_id),
  KEY age (create_time)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- member_count and owner_user_id follow group_members in the same transaction.
ALTER TABLE chat_groups
  ADD COLUMN member_count INT UNSIGNED NOT NULL DEFAULT 0,
  ADD COLUMN owner_user_id VARCHAR(255) NOT NULL DEFAULT '',
  ADD COLUMN dismissed TINYINT GENERATED ALWAYS AS (status = 2) STORED,
  ADD KEY created (create_time),
  ADD KEY listed (dismissed, create_time, group_id);
UPDATE chat_groups g SET
  member_count = (SELECT COUNT(*) FROM group_members m WHERE m.group_id = g.group_id),
  owner_user_id = COALESCE((SELECT MAX(m.user_id) FROM group_members m WHERE m.group_id = g.group_id AND m.role_level = 100), '');

ALTER TABLE group_members ADD KEY page (group_id, role_level DESC, id);
ALTER TABLE friends ADD KEY page (owner_user_id, is_pinned DESC, id);
ALTER TABLE blacks ADD KEY page (owner_user_id, id);
ALTER TABLE users ADD KEY created (create_time), ADD KEY level (app_manger_level, id), ADD KEY page (id, app_manger_level),
  ADD KEY nickname (nickname(64));
ALTER TABLE friend_requests ADD KEY sender (from_user_id, create_time), ADD KEY unhandled (to_user_id, handle_result, create_time);

-- One per (group, applicant): a new one replaces the old one, whatever its state.
CREATE TABLE IF NOT EXISTS group_requests (
  group_id       VARCHAR(255) NOT NULL,
  user_id        VARCHAR(255) NOT NULL,
  handle_result  INT NOT NULL DEFAULT 0,
  req_msg        TEXT NOT NULL,
  handle_msg     TEXT NOT NULL,
  req_time       BIGINT NOT NULL,
  handle_user_id VARCHAR(255) NOT NULL DEFAULT '',
  handle_time    BIGINT NOT NULL DEFAULT 0,
  ex             TEXT NOT NULL,
  join_source    INT NOT NULL DEFAULT 0,
  inviter_user_id VARCHAR(255) NOT NULL DEFAULT '',
  PRIMARY KEY (group_id, user_id),
  KEY applicant (user_id, req_time),
  KEY newest (group_id, req_time)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS user_commands (
  id          BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  user_id     VARCHAR(255) NOT NULL,
  type        INT NOT NULL,
  uuid        VARCHAR(255) NOT NULL,
  create_time BIGINT NOT NULL,                 -- seconds
  value       TEXT NOT NULL,
  ex          TEXT NOT NULL,
  PRIMARY KEY (id),
  KEY command (user_id, type, uuid)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- user_id '' is for everybody.
CREATE TABLE IF NOT EXISTS client_config (
  user_id    VARCHAR(255) NOT NULL,
  config_key VARCHAR(255) NOT NULL,
  value      TEXT NOT NULL,
  PRIMARY KEY (user_id, config_key),
  KEY config_key (config_key, user_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
