/*
 * The table of all settings, and how they are read; oim_conf.h says in which order. Whoever adds a setting adds a line to the table: the
 * sample file, --help and the settings page are printed from it.
 */
#include "oim_conf.h"

#include "oim_err.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

extern char **environ;

#define SAMPLE_SECRET "openIM123"
#define SLOTS 64

enum kind { STRING, INTEGER, BOOLEAN };

struct setting {
    const char *section, *name;
    enum kind kind;
    size_t offset;
    const char *value; /* default */
    long min, max;
    const char *help;
};

#define S(sec, field, def, help) {#sec, #field, STRING, offsetof(struct oim_conf, sec.field), def, 0, 0, help}
#define I(sec, field, def, min, max, help) {#sec, #field, INTEGER, offsetof(struct oim_conf, sec.field), def, min, max, help}
#define B(sec, field, def, help) {#sec, #field, BOOLEAN, offsetof(struct oim_conf, sec.field), def, 0, 1, help}

static const struct setting settings[] = {
    S(general, profile, "production", "development accepts the sample secret; everything else does not"),
    S(general, secret, SAMPLE_SECRET, "signs user tokens, and what /auth/get_admin_token asks for; the same as openim_secret in nginx.conf"),
    S(general, admin_users, "imAdmin", "user ids of administrators, separated by commas; created at start"),
    S(general, instance, "", "stable name of this process for Kafka; empty: <hostname>-<n>"),
    S(general, state_dir, "", "lock files and parked records; empty: /var/lib/openim, or /tmp/openim where that cannot be written"),
    S(general, log_level, "info", "error, warn, info or debug"),
    S(kafka, brokers, "127.0.0.1:9092", "host:port, separated by commas"),
    S(kafka, topic_prefix, "openim.", "topics are <prefix>msg, <prefix>rpc, <prefix>stored; as openim_kafka_topic_prefix in nginx.conf"),
    I(kafka, session_timeout_ms, "6000", 3000, 300000, "a process that is silent for so long loses its partitions"),
    I(kafka, linger_ms, "0", 0, 1000, "how long a record waits for company"),
    S(redis, address, "127.0.0.1:6379", "host:port, or unix:/path"),
    S(redis, password, "", "empty: none"),
    I(redis, db, "0", 0, 1000000, "database number"),
    I(redis, timeout_ms, "2000", 10, 60000, "of connecting and of a pipeline"),
    S(mysql, address, "127.0.0.1:3306", "host:port, or unix:/path"),
    S(mysql, user, "openim", "account"),
    S(mysql, password, "openim", "its password"),
    S(mysql, database, "openim", "database; created if the account may"),
    S(mysql, schema_dir, "config/mysql", "NNNN_name.sql, applied in order at start"),
    I(mysql, timeout_ms, "3000", 100, 60000, "of connecting and of a statement"),
    S(mongo, uri, "mongodb://127.0.0.1:27017", "connection string"),
    S(mongo, database, "openim", "database"),
    I(mongo, timeout_ms, "2000", 100, 60000, "of finding the server and of an operation"),
    I(logic, msg_lanes, "1", 1, 32, "threads that take messages"),
    I(logic, rpc_lanes, "2", 1, 32, "threads that answer all other requests"),
    I(logic, inflight, "2000", 10, 100000, "messages of a lane that wait for Kafka at most"),
    I(logic, row_cache_mb, "32", 0, 16384, "profiles and group members that are kept in memory, MiB"),
    I(archive, lanes, "1", 1, 32, "threads that write history"),
    I(archive, batch, "1000", 1, 10000, "records of a transaction at most"),
    I(archive, linger_ms, "200", 0, 5000, "how long a transaction waits for more records"),
    I(message, hot_seconds, "3600", 60, 604800, "how long a message stays in Redis"),
    I(message, retain_days, "14", 1, 36500, "how long a message stays in MongoDB; MySQL keeps all"),
    I(message, dedup_entries, "131072", 1024, 16777216, "newest messages of a partition whose repeats are known without asking MySQL"),
    B(message, friend_verify, "false", "only friends of the receiver may write"),
    I(message, max_bytes, "819200", 1024, 900000, "of one stored message; Kafka refuses more than its message.max.bytes"),
    S(notification, language, "en", "of the texts that the server makes, such as titles of offline pushes: en, zh or ja"),
    S(notification, file, "", "what notifications show, push and say: a file like config/notification.conf; empty: the defaults"),
    I(token, expire_days, "90", 1, 36500, "life of a token"),
    I(token, multi_login_policy, "1", 0, 5, "0 no kick, 1 one per platform, 4 one per class, 5 PC and one other"),
    I(token, max_num_one_end, "30", 1, 10000, "tokens of a platform under policy 0"),
};

#undef S
#undef I
#undef B

#define N_SETTINGS (sizeof(settings) / sizeof(settings[0]))

/* Names that the build scripts and images use, too. */
static const struct {
    const char *variable, *section, *name;
} aliases[] = {
    {"OPENIM_PROFILE", "general", "profile"},
    {"OPENIM_SECRET", "general", "secret"},
};

static const struct setting *setting_find(const char *section, const char *name)
{
    for (size_t i = 0; i < N_SETTINGS; i++) {
        if (strcmp(settings[i].section, section) == 0 && strcmp(settings[i].name, name) == 0) return &settings[i];
    }
    return NULL;
}

/* OIM_EPARSE, with the reason on stderr. where names the file or the variable. */
static int setting_apply(struct oim_conf *conf, const struct setting *s, const char *value, const char *where)
{
    void *field = (char *)conf + s->offset;
    char *end;
    long n;

    switch (s->kind) {
    case STRING:
        free(*(char **)field);
        *(char **)field = strdup(value);
        return *(char **)field ? OIM_OK : OIM_ENOMEM;
    case BOOLEAN:
        if (strcasecmp(value, "true") && strcasecmp(value, "false")) {
            fprintf(stderr, "%s: %s.%s is true or false, not \"%s\"\n", where, s->section, s->name, value);
            return OIM_EPARSE;
        }
        *(bool *)field = strcasecmp(value, "true") == 0;
        return OIM_OK;
    case INTEGER:
    default:
        errno = 0;
        n = strtol(value, &end, 10);
        if (errno || end == value || *end || n < s->min || n > s->max) {
            fprintf(stderr, "%s: %s.%s is a whole number from %ld to %ld, not \"%s\"\n", where, s->section, s->name, s->min, s->max,
                    value);
            return OIM_EPARSE;
        }
        *(int *)field = (int)n;
        return OIM_OK;
    }
}

struct reading {
    struct oim_conf *conf;
    const char *path;
    int err;
};

static int ini_line(void *ctx, const char *section, const char *name, const char *value)
{
    struct reading *r = ctx;
    const struct setting *s = setting_find(section, name);

    if (s == NULL) {
        fprintf(stderr, "%s: there is no setting %s in [%s]; --print-config lists all\n", r->path, name, section);
        r->err = OIM_EPARSE;
        return 1;
    }
    if (setting_apply(r->conf, s, value, r->path) != OIM_OK) r->err = OIM_EPARSE;
    return 1;
}

static int file_read(struct oim_conf *conf, const char *path)
{
    struct reading r = {.conf = conf, .path = path, .err = OIM_OK};
    int line = ini_parse(path, ini_line, &r);

    if (line < 0) {
        fprintf(stderr, "%s: cannot be read: %s\n", path, strerror(errno));
        return OIM_EPARSE;
    }
    if (line > 0) {
        fprintf(stderr, "%s: line %d is no section and no \"name = value\"\n", path, line);
        return OIM_EPARSE;
    }
    return r.err;
}

static void variable_name(char *name, size_t size, const struct setting *s)
{
    snprintf(name, size, "OPENIM_%s_%s", s->section, s->name);
    for (char *p = name; *p; p++) {
        if (*p >= 'a' && *p <= 'z') *p = (char)(*p - 'a' + 'A');
    }
}

/* OPENIM_<section of ours>_<no setting of ours> is most likely a slip of the pen. Other programs use OPENIM_, too: no reason to stop. */
static void environment_check(void)
{
    for (char **v = environ; *v; v++) {
        size_t len = strcspn(*v, "=");
        bool section = false, known = false;
        char name[128];

        if (strncmp(*v, "OPENIM_", 7) != 0) continue;
        for (size_t i = 0; i < N_SETTINGS && !known; i++) {
            variable_name(name, sizeof(name), &settings[i]);
            section |= strncmp(*v, name, strlen("OPENIM_") + strlen(settings[i].section) + 1) == 0;
            known = strlen(name) == len && memcmp(*v, name, len) == 0;
        }
        if (section && !known) fprintf(stderr, "warning: %.*s in the environment names no setting\n", (int)len, *v);
    }
}

static int environment_read(struct oim_conf *conf)
{
    char name[128];
    const char *value;
    int err = OIM_OK;

    for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++) {
        value = getenv(aliases[i].variable);
        if (value && setting_apply(conf, setting_find(aliases[i].section, aliases[i].name), value, aliases[i].variable)) err = OIM_EPARSE;
    }
    for (size_t i = 0; i < N_SETTINGS; i++) {
        variable_name(name, sizeof(name), &settings[i]);
        value = getenv(name);
        if (value && setting_apply(conf, &settings[i], value, name)) err = OIM_EPARSE;
    }
    environment_check();
    return err;
}

static int check(const struct oim_conf *conf)
{
    bool development = strcmp(conf->general.profile, "development") == 0;
    const char *language = conf->notification.language;

    if (!development && strcmp(conf->general.profile, "production") != 0) {
        fprintf(stderr, "general.profile is development or production, not \"%s\"\n", conf->general.profile);
        return OIM_EPARSE;
    }
    if (!development && strcmp(conf->general.secret, SAMPLE_SECRET) == 0) {
        fprintf(stderr, "general.secret is the sample that everybody knows: set your own (OPENIM_SECRET, or [general] secret) here and as "
                        "openim_secret in nginx.conf, or set general.profile = development on a machine for trials\n");
        return OIM_EPARSE;
    }
    if (strcmp(language, "en") && strcmp(language, "zh") && strcmp(language, "ja")) {
        fprintf(stderr, "notification.language is en, zh or ja, not \"%s\"\n", language);
        return OIM_EPARSE;
    }
    if (conf->general.secret[0] == '\0') {
        fprintf(stderr, "general.secret is empty: set a long random text\n");
        return OIM_EPARSE;
    }
    return OIM_OK;
}

static int state_dir_choose(struct oim_conf *conf)
{
    static const char *const places[] = {"/var/lib/openim", "/tmp/openim"};
    char *dir = conf->general.state_dir;

    for (size_t i = 0; dir[0] == '\0' && i < 2; i++) {
        if (mkdir(places[i], 0700) == 0 || (errno == EEXIST && access(places[i], W_OK) == 0)) {
            if (i) fprintf(stderr, "warning: %s cannot be written, state goes to %s: set general.state_dir\n", places[0], places[i]);
            free(dir);
            dir = conf->general.state_dir = strdup(places[i]);
            if (dir == NULL) return OIM_ENOMEM;
        }
    }
    if (dir[0] == '\0' || (mkdir(dir, 0700) && errno != EEXIST) || access(dir, W_OK)) {
        fprintf(stderr, "general.state_dir \"%s\" cannot be written: %s\n", dir, strerror(errno));
        return OIM_EPARSE;
    }
    return OIM_OK;
}

int oim_conf_load(struct oim_conf *conf, const char *path)
{
    memset(conf, 0, sizeof(*conf));
    for (size_t i = 0; i < N_SETTINGS; i++) {
        if (setting_apply(conf, &settings[i], settings[i].value, "default")) return OIM_ENOMEM;
    }
    if (path && file_read(conf, path) != OIM_OK) return OIM_EPARSE;
    if (environment_read(conf) != OIM_OK || check(conf) != OIM_OK) return OIM_EPARSE;
    return state_dir_choose(conf);
}

int oim_conf_claim_instance(struct oim_conf *conf, const char *role)
{
    char path[PATH_MAX], name[256], host[128];

    if (conf->general.instance[0]) return OIM_OK;
    if (gethostname(host, sizeof(host))) return OIM_EFATAL;
    host[sizeof(host) - 1] = '\0';
    for (int n = 0; n < SLOTS; n++) {
        int fd;

        snprintf(path, sizeof(path), "%s/openim-%s-%d.lock", conf->general.state_dir, role, n);
        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0) {
            fprintf(stderr, "%s: %s\n", path, strerror(errno));
            return OIM_EFATAL;
        }
        if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
            /* the lock is the process': fd stays open until its end */
            snprintf(name, sizeof(name), "%s-%d", host, n);
            free(conf->general.instance);
            conf->general.instance = strdup(name);
            return conf->general.instance ? OIM_OK : OIM_ENOMEM;
        }
        close(fd);
    }
    fprintf(stderr, "%s holds %d locked slots: set general.instance\n", conf->general.state_dir, SLOTS);
    return OIM_EFATAL;
}

void oim_conf_free(struct oim_conf *conf)
{
    for (size_t i = 0; i < N_SETTINGS; i++) {
        if (settings[i].kind == STRING) free(*(char **)((char *)conf + settings[i].offset));
    }
    memset(conf, 0, sizeof(*conf));
}

void oim_conf_print_help(void)
{
    for (size_t i = 0; i < N_SETTINGS; i++) {
        const struct setting *s = &settings[i];

        printf("  %s.%s = %s\n      %s", s->section, s->name, s->value, s->help);
        if (s->kind == INTEGER) printf(" (%ld to %ld)", s->min, s->max);
        printf("\n");
    }
}

void oim_conf_print_sample(void)
{
    const char *section = "";

    printf("; Settings of the workers, at their defaults. OPENIM_<SECTION>_<NAME> in the environment goes before this file.\n");
    for (size_t i = 0; i < N_SETTINGS; i++) {
        const struct setting *s = &settings[i];

        if (strcmp(section, s->section)) printf("\n[%s]\n", s->section);
        section = s->section;
        printf("; %s%s", s->help, s->kind == BOOLEAN ? " (true, false)" : "");
        if (s->kind == INTEGER) printf(" (%ld to %ld)", s->min, s->max);
        printf("\n; %s =%s%s\n", s->name, s->value[0] ? " " : "", s->value);
    }
}

void oim_conf_print_markdown(void)
{
    printf("| setting | default | meaning |\n| --- | --- | --- |\n");
    for (size_t i = 0; i < N_SETTINGS; i++) {
        const struct setting *s = &settings[i];

        printf("| `%s.%s` | %s%s%s | %s", s->section, s->name, s->value[0] ? "`" : "", s->value, s->value[0] ? "`" : "", s->help);
        if (s->kind == INTEGER) printf(" (%ld to %ld)", s->min, s->max);
        printf(" |\n");
    }
}

bool oim_conf_is_admin(const struct oim_conf *conf, const char *user_id)
{
    const char *p = conf->general.admin_users;
    size_t len = strlen(user_id);

    while (len && *p) {
        size_t n;

        p += strspn(p, ", ");
        n = strcspn(p, ",");
        while (n && p[n - 1] == ' ') n--;
        if (n == len && memcmp(p, user_id, len) == 0) return true;
        p += strcspn(p, ",");
    }
    return false;
}
