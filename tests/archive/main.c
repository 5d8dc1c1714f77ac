/* Runs all tests or the one that is named; "measure" prints figures instead. A missing address ends it with what to do. */
#include "archive.h"

#include "oim_log.h"

#include <signal.h>

#define STAGED(f) {#f, f, stage_open, stage_close, NULL}

static const struct CMUnitTest tests[] = {
    STAGED(test_columns), STAGED(test_fences),     STAGED(test_parked), STAGED(test_repeats),     STAGED(test_kill),
    STAGED(test_mysql_away), STAGED(test_mongo_away), STAGED(test_zombie), STAGED(test_two_workers),
    STAGED(test_counts),     STAGED(test_counts_before), STAGED(test_counts_line), STAGED(test_counts_together),
};

static bool addresses(void)
{
    static const char *const names[] = {"OPENIM_KAFKA_BROKERS", "OPENIM_MYSQL_ADDRESS", "OPENIM_MONGO_URI", "BUILD"};
    bool all = true;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (getenv(names[i])) continue;
        printf("%s is not set: eval \"$(./build.sh env)\" after ./build.sh up\n", names[i]);
        all = false;
    }
    return all;
}

int main(int argc, char **argv)
{
    size_t n = sizeof(tests) / sizeof(tests[0]), failed = 0;

    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!addresses()) {
        printf("0 passed, 1 failed\n");
        return 2;
    }
    oim_log_init("test", "error");
    if (argc > 1 && strcmp(argv[1], "measure") == 0) return measure();
    if (argc > 1) {
        cmocka_set_test_filter(argv[1]);
        n = 1;
    }
    cmocka_set_message_output(CM_OUTPUT_STDOUT);
    failed = (size_t)cmocka_run_group_tests_name("archive", tests, NULL, NULL);
    workers_end();
    printf("%zu passed, %zu failed\n", n - failed, failed);
    return failed != 0;
}
