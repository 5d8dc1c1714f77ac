/* oim_app and oim_log: a process of its own for each case, its log read through a pipe. */
#include "unit.h"

#include "oim_app.h"
#include "oim_err.h"
#include "oim_log.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[] = "/tmp/oim-unit-XXXXXX";

static int setup(void **state)
{
    strcpy(dir + strlen(dir) - 6, "XXXXXX");
    return mkdtemp(dir) == NULL;
}

static int teardown(void **state)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf '%s'", dir);
    return system(command);
}

static int lane_until_stop(struct oim_app *app, const struct oim_app_lane *lane)
{
    oim_log(OIM_LOG_INFO, "lane runs", "lane=%s index=%d", lane->name, lane->index);
    while (!app->stop) usleep(1000);
    return OIM_OK;
}

static int lane_fatal(struct oim_app *app, const struct oim_app_lane *lane)
{
    return OIM_EFATAL;
}

static int two_lanes(struct oim_app *app, struct oim_app_lane *lanes, int max)
{
    lanes[0] = (struct oim_app_lane){.name = "a-0", .index = 0, .run = lane_until_stop};
    lanes[1] = (struct oim_app_lane){.name = "a-1", .index = 1, .run = lane_until_stop};
    return 2;
}

static int bad_lane(struct oim_app *app, struct oim_app_lane *lanes, int max)
{
    two_lanes(app, lanes, max);
    lanes[1].run = lane_fatal;
    return 2;
}

static int prepare_fails(struct oim_app *app)
{
    return OIM_EUNAVAIL;
}

/* Runs a process to its end; it gets TERM as soon as its log holds `until` (NULL: never). Returns its exit status. */
static int process(char said[4096], const char *until, int (*prepare)(struct oim_app *),
                   int (*lanes)(struct oim_app *, struct oim_app_lane *, int), const char *option)
{
    int out[2], status;
    size_t n = 0;
    ssize_t got;
    pid_t pid;

    assert_int_equal(pipe(out), 0);
    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        char *argv[] = {(char *)"unit", (char *)option, NULL};

        dup2(out[1], 1);
        dup2(out[1], 2);
        close(out[0]);
        close(out[1]);
        alarm(20);
        setenv("OPENIM_PROFILE", "development", 1);
        setenv("OPENIM_GENERAL_STATE_DIR", dir, 1);
        exit(oim_app_main(option ? 2 : 1, argv, "unit", prepare, lanes));
    }
    close(out[1]);
    while ((got = read(out[0], said + n, 4095 - n)) > 0) {
        n += (size_t)got;
        said[n] = '\0';
        if (until && strstr(said, until)) {
            kill(pid, SIGTERM);
            until = NULL;
        }
    }
    said[n] = '\0';
    close(out[0]);
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void stops_in_order(void **state)
{
    char said[4096];

    assert_int_equal(process(said, "index=1", NULL, two_lanes, NULL), 0);
    assert_non_null(strstr(said, "Z info unit \"stopped\" status=0\n"));
}

static void a_fatal_lane_ends_the_process(void **state)
{
    char said[4096];

    assert_int_equal(process(said, NULL, NULL, bad_lane, NULL), 1);
    assert_non_null(strstr(said, "lane=a-1 result=\"fatal\""));
}

static void does_not_start(void **state)
{
    char said[4096];

    assert_int_equal(process(said, NULL, prepare_fails, two_lanes, NULL), 1);
    assert_null(strstr(said, "lane runs"));
    setenv("OPENIM_LOGIC_MSG_LANES", "x", 1);
    assert_int_equal(process(said, NULL, NULL, two_lanes, NULL), 2);
    unsetenv("OPENIM_LOGIC_MSG_LANES");
    assert_int_equal(process(said, NULL, NULL, two_lanes, "--nonsense"), 2);
    assert_int_equal(process(said, NULL, NULL, two_lanes, "--help"), 0);
    assert_non_null(strstr(said, "kafka.brokers"));
}

static int talks(struct oim_app *app)
{
    char *long_one = calloc(1, 10001);

    memset(long_one, 'x', 10000);
    oim_log(OIM_LOG_INFO, "two\nlines", "value=%s", "a\r\nforged=1");
    oim_log(OIM_LOG_DEBUG, "not shown", "a=%d", 1);
    oim_log(OIM_LOG_WARN, "long", "value=%s", long_one);
    oim_log(OIM_LOG_ERROR, "end", "n=%" PRId64, INT64_MIN);
    free(long_one);
    return OIM_EFATAL;
}

static void lines_stay_lines(void **state)
{
    char said[4096];
    char line[5000];
    FILE *f;
    int n = 0;

    process(said, NULL, talks, two_lanes, NULL);
    f = fmemopen(said, strlen(said), "r");
    while (fgets(line, sizeof(line), f)) {
        int year;

        n++;
        assert_int_equal(sscanf(line, "%4d-", &year), 1); /* each begins with its time */
    }
    fclose(f);
    assert_true(n >= 3);
    assert_non_null(strstr(said, " info unit \"two lines\" value=a  forged=1\n"));
    assert_null(strstr(said, "not shown"));
}

static const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    T(stops_in_order), T(a_fatal_lane_ends_the_process), T(does_not_start), T(lines_stay_lines),
};
UNIT_GROUP(unit_app, "process frame and log", tests, NULL);
