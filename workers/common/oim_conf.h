/*
 * All settings of all workers, read once at start: defaults, then config/openim.conf (INI), then
 * OPENIM_SECTION_NAME from the environment. One table (oim_conf.c) holds name, type, default, bounds and
 * help; it prints --help, the sample file (--print-config) and docs/settings.md. Unknown keys refuse to start.
 * The sample secret refuses to start outside the development profile.
 */
#ifndef OIM_CONF_H
#define OIM_CONF_H

#include <stdbool.h>
#include <stdint.h>

struct oim_conf {
    struct { char *profile, *secret, *admin_users, *instance, *state_dir, *log_level; } general;
    /* profile: development | production (default); admin_users: comma list, default imAdmin;
     * instance: stable name of this process for Kafka's static membership, default <hostname>-<free slot>, the slot
     * is locked by a file in state_dir */
    struct { char *brokers; char *topic_prefix; int session_timeout_ms; int linger_ms; } kafka;
    struct { char *address, *password; int db; int timeout_ms; } redis;  /* host:port or unix:/path */
    struct { char *address, *user, *password, *database, *schema_dir; int timeout_ms; } mysql;
    struct { char *uri, *database; int timeout_ms; } mongo;
    struct { int msg_lanes, rpc_lanes; int inflight, row_cache_mb; } logic;
    struct { int lanes, batch, linger_ms; } archive;
    struct { int hot_seconds, retain_days, dedup_entries; bool friend_verify; int max_bytes; } message;
    struct { char *language, *file; } notification;
    struct { int expire_days, multi_login_policy, max_num_one_end; } token;
};

/* path may be NULL. Prints what is wrong and what to do to stderr and returns OIM_EPARSE. */
int oim_conf_load(struct oim_conf *conf, const char *path);
/* Sets general.instance to <hostname>-<n>, n the first slot of this role that no other process of this host has locked in state_dir.
 * A setting that is there stays. */
int oim_conf_claim_instance(struct oim_conf *conf, const char *role);
void oim_conf_free(struct oim_conf *conf);
void oim_conf_print_help(void);
void oim_conf_print_sample(void);
void oim_conf_print_markdown(void);
bool oim_conf_is_admin(const struct oim_conf *conf, const char *user_id);

#endif
