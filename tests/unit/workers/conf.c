/* oim_conf: where a setting comes from, what refuses to start. Messages on stderr are part of what it does; they are not shown. */
#include "unit.h"

#include "oim_conf.h"
#include "oim_err.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[] = "/tmp/oim-unit-XXXXXX", path[64];
extern char **environ;

static int setup(void **state)
{
    for (char **v = environ; *v;) {
        char name[128];

        snprintf(name, sizeof(name), "%.*s", (int)strcspn(*v, "="), *v);
        if (strncmp(name, "OPENIM_", 7) == 0) {
            unsetenv(name);
            v = environ;
        } else {
            v++;
        }
    }
    strcpy(dir + strlen(dir) - 6, "XXXXXX");
    if (mkdtemp(dir) == NULL) return 1;
    snprintf(path, sizeof(path), "%s/openim.conf", dir);
    setenv("OPENIM_GENERAL_STATE_DIR", dir, 1);
    return 0;
}

static int teardown(void **state)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf '%s'", dir);
    return system(command);
}

static void file(const char *text)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

/* Loads, with stderr collected in said. */
static int load(struct oim_conf *conf, const char *from, char said[2048])
{
    char log[80];
    int err, saved = dup(2);
    FILE *f;

    snprintf(log, sizeof(log), "%s/stderr", dir);
    fflush(stderr);
    assert_non_null(freopen(log, "w", stderr));
    err = oim_conf_load(conf, from);
    fflush(stderr);
    dup2(saved, 2);
    close(saved);
    f = fopen(log, "r");
    said[fread(said, 1, 2047, f)] = '\0';
    fclose(f);
    return err;
}

static void refused(const char *text, const char *because)
{
    struct oim_conf conf;
    char said[2048];

    file(text);
    assert_int_equal(load(&conf, path, said), OIM_EPARSE);
    if (strstr(said, because) == NULL) fail_msg("\"%s\" is not in: %s", because, said);
    oim_conf_free(&conf);
}

static void file_and_environment(void **state)
{
    struct oim_conf conf;
    char said[2048];

    file("[general]\nsecret = s3cret\nadmin_users = root , imAdmin\n[kafka]\nbrokers = file:1\n[logic]\nmsg_lanes = 3\n"
         "[message]\nfriend_verify = true\n");
    setenv("OPENIM_KAFKA_BROKERS", "env:1", 1);
    setenv("OPENIM_LOGIC_RPC_LANES", "5", 1);
    setenv("OPENIM_MESSAGE_NONSENSE", "5", 1);
    setenv("OPENIM_REST_ADDRESS", "x", 1);
    assert_int_equal(load(&conf, path, said), OIM_OK);
    assert_string_equal(conf.kafka.brokers, "env:1");
    assert_int_equal(conf.logic.msg_lanes, 3);
    assert_int_equal(conf.logic.rpc_lanes, 5);
    assert_true(conf.message.friend_verify);
    assert_string_equal(conf.general.profile, "production");
    assert_string_equal(conf.mysql.database, "openim");
    assert_int_equal(conf.message.max_bytes, 51200 * 16);
    assert_non_null(strstr(said, "OPENIM_MESSAGE_NONSENSE"));
    assert_null(strstr(said, "OPENIM_REST_ADDRESS"));
    assert_true(oim_conf_is_admin(&conf, "root"));
    assert_true(oim_conf_is_admin(&conf, "imAdmin"));
    assert_false(oim_conf_is_admin(&conf, "imAdmi"));
    assert_false(oim_conf_is_admin(&conf, "root , imAdmin"));
    assert_false(oim_conf_is_admin(&conf, ""));
    oim_conf_free(&conf);
}

static void the_sample_secret(void **state)
{
    struct oim_conf conf;
    char said[2048];

    refused("", "OPENIM_SECRET");
    setenv("OPENIM_PROFILE", "development", 1);
    assert_int_equal(load(&conf, NULL, said), OIM_OK);
    assert_string_equal(conf.general.secret, "openIM123");
    oim_conf_free(&conf);
    setenv("OPENIM_PROFILE", "production", 1);
    setenv("OPENIM_SECRET", "s3cret", 1);
    assert_int_equal(load(&conf, NULL, said), OIM_OK);
    assert_string_equal(conf.general.secret, "s3cret");
    oim_conf_free(&conf);
    setenv("OPENIM_SECRET", "", 1);
    assert_int_equal(load(&conf, NULL, said), OIM_EPARSE);
    oim_conf_free(&conf);
}

static void refusals(void **state)
{
    setenv("OPENIM_SECRET", "s3cret", 1);
    refused("[logic]\nmsg_lane = 3\n", "msg_lane");
    refused("[logik]\nmsg_lanes = 3\n", "logik");
    refused("[logic]\nmsg_lanes = 0\n", "from 1 to 32");
    refused("[logic]\nmsg_lanes = 99\n", "from 1 to 32");
    refused("[logic]\nmsg_lanes = 3x\n", "3x");
    refused("[logic]\nmsg_lanes =\n", "whole number");
    refused("[logic]\nmsg_lanes = 99999999999999999999\n", "whole number");
    refused("[message]\nfriend_verify = perhaps\n", "true or false");
    refused("[general]\nprofile = test\n", "development or production");
    refused("[notification]\nlanguage = fr\n", "en, zh or ja");
    refused("[general]\nnonsense\n", "line 2");
    setenv("OPENIM_LOGIC_MSG_LANES", "x", 1);
    refused("", "OPENIM_LOGIC_MSG_LANES");
    unsetenv("OPENIM_LOGIC_MSG_LANES");
    setenv("OPENIM_GENERAL_STATE_DIR", "/proc/nowhere", 1);
    refused("", "state_dir");
}

static void a_file_that_is_not_there(void **state)
{
    struct oim_conf conf;
    char said[2048];

    assert_int_equal(load(&conf, "/nonexistent/openim.conf", said), OIM_EPARSE);
    assert_non_null(strstr(said, "/nonexistent/openim.conf"));
    oim_conf_free(&conf);
}

/* Two processes of a role have different names, a third gets the name of one that ended. */
static void instances(void **state)
{
    struct oim_conf a, b;
    char said[2048], first[256];
    int status, go[2];
    pid_t child;

    setenv("OPENIM_SECRET", "s3cret", 1);
    assert_int_equal(pipe(go), 0);
    child = fork();
    if (child == 0) {
        char c;

        if (oim_conf_load(&a, NULL) || oim_conf_claim_instance(&a, "unit")) _exit(1);
        if (write(go[1], a.general.instance, strlen(a.general.instance) + 1) < 0) _exit(2);
        while (getppid() != 1 && read(go[0], &c, 0) == 0) pause();
        _exit(0);
    }
    assert_true(read(go[0], first, sizeof(first)) > 0);
    assert_int_equal(load(&b, NULL, said), OIM_OK);
    assert_int_equal(oim_conf_claim_instance(&b, "unit"), OIM_OK);
    assert_string_not_equal(first, b.general.instance);
    oim_conf_free(&b);
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    assert_int_equal(load(&b, NULL, said), OIM_OK);
    assert_int_equal(oim_conf_claim_instance(&b, "unit"), OIM_OK);
    assert_string_equal(first, b.general.instance);
    oim_conf_free(&b);
    setenv("OPENIM_GENERAL_INSTANCE", "mine", 1);
    assert_int_equal(load(&b, NULL, said), OIM_OK);
    assert_int_equal(oim_conf_claim_instance(&b, "unit"), OIM_OK);
    assert_string_equal(b.general.instance, "mine");
    oim_conf_free(&b);
    close(go[0]);
    close(go[1]);
}

/* config/openim.conf is what the table prints; taken without its comment signs it is what the table says. */
static void the_sample_file(void **state)
{
    struct oim_conf conf;
    char said[2048], command[256];
    int saved = dup(1);

    fflush(stdout);
    assert_non_null(freopen(path, "w", stdout));
    oim_conf_print_sample();
    fflush(stdout);
    dup2(saved, 1);
    close(saved);
    snprintf(command, sizeof(command), "cmp -s '%s' ../../../config/openim.conf", path);
    if (access("../../../config/openim.conf", R_OK) == 0) assert_int_equal(system(command), 0);
    snprintf(command, sizeof(command), "sed -i 's/^; \\([a-z_]* =\\)/\\1/' '%s'", path);
    assert_int_equal(system(command), 0);
    setenv("OPENIM_SECRET", "s3cret", 1);
    assert_int_equal(load(&conf, path, said), OIM_OK);
    assert_int_equal(conf.token.expire_days, 90);
    oim_conf_free(&conf);
}

static const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    T(file_and_environment), T(the_sample_secret), T(refusals), T(a_file_that_is_not_there), T(instances), T(the_sample_file),
};
UNIT_GROUP(unit_conf, "settings", tests, NULL);
