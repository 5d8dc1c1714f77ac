/* Runs every group and adds up; "measure" prints figures instead. Nothing is skipped: a missing address ends it with what to do. */
#include "store.h"

#include "oim_log.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct oim_conf store_conf, store_nowhere;
char store_tag[32];
static FILE *log_reader;

static bool addresses(void)
{
    static const char *const names[] = {"OPENIM_KAFKA_BROKERS", "OPENIM_REDIS_ADDRESS", "OPENIM_MYSQL_ADDRESS", "OPENIM_MONGO_URI"};
    bool all = true;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (getenv(names[i])) continue;
        printf("%s is not set: eval \"$(./build.sh env)\" after ./build.sh up\n", names[i]);
        all = false;
    }
    return all;
}

static bool settings(void)
{
    snprintf(store_tag, sizeof(store_tag), "openim_store_%d", (int)getpid());
    setenv("OPENIM_GENERAL_PROFILE", "development", 1);
    setenv("OPENIM_GENERAL_INSTANCE", store_tag, 1);
    setenv("OPENIM_MYSQL_DATABASE", store_tag, 1);
    setenv("OPENIM_MONGO_DATABASE", store_tag, 1);
    setenv("OPENIM_KAFKA_SESSION_TIMEOUT_MS", "3000", 1);
    setenv("OPENIM_MONGO_TIMEOUT_MS", "10000", 1); /* a busy machine is no failure */
    if (oim_conf_load(&store_conf, NULL) != OIM_OK) return false;
    store_nowhere = store_conf;
    store_nowhere.kafka.brokers = store_nowhere.redis.address = store_nowhere.mysql.address = (char *)"127.0.0.1:1";
    store_nowhere.mongo.uri = (char *)"mongodb://127.0.0.1:1";
    store_nowhere.mongo.timeout_ms = 300;
    return true;
}

/* The log goes to a file that the tests can look at; what is in it is shown when something failed. */
static bool log_open(char *path, size_t size)
{
    int fd;

    snprintf(path, size, "/tmp/%s.XXXXXX", store_tag);
    fd = mkstemp(path);
    if (fd < 0 || dup2(fd, STDERR_FILENO) < 0) return false;
    fcntl(STDERR_FILENO, F_SETFL, O_APPEND);
    close(fd);
    log_reader = fopen(path, "r");
    return log_reader != NULL;
}

int store_logged(const char *text)
{
    char line[8192];
    int n = 0;

    clearerr(log_reader);
    while (fgets(line, sizeof(line), log_reader)) n += strstr(line, text) != NULL;
    return n;
}

static void log_show(const char *path)
{
    FILE *file = fopen(path, "r");
    char line[8192];

    while (file && fgets(line, sizeof(line), file)) fputs(line, stdout);
    if (file) fclose(file);
}

int main(int argc, char **argv)
{
    const struct store_group *groups[] = {&store_redis, &store_kafka, &store_kafka_group, &store_sql, &store_migrate, &store_mongo};
    size_t passed = 0, failed = 0;
    char log[128];

    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!addresses() || !settings()) {
        printf("0 passed, 1 failed\n");
        return 2;
    }
    oim_log_init("store", "info");
    if (argc > 1 && strcmp(argv[1], "measure") == 0) return store_measure();
    if (!log_open(log, sizeof(log))) return 2;
    cmocka_set_message_output(CM_OUTPUT_STDOUT);
    for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
        int bad;
        size_t n;

        if (argc > 1 && strcmp(argv[1], groups[i]->name)) continue; /* one group, by name */
        bad = _cmocka_run_group_tests(groups[i]->name, groups[i]->tests, groups[i]->n, groups[i]->setup, groups[i]->teardown);
        n = bad < 0 || (size_t)bad > groups[i]->n ? groups[i]->n : (size_t)bad;
        failed += n;
        passed += groups[i]->n - n;
    }
    if (failed) log_show(log);
    unlink(log);
    printf("%zu passed, %zu failed\n", passed, failed);
    return failed != 0;
}
