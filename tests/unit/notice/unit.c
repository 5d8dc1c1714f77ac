/* The table of notifications against messages.md 11.3, its words, and the operator's file. Messages on stderr are expected. */
#include "notify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char *sample; /* config/notification.conf */
static char path[] = "/tmp/oim-notice-XXXXXX";

static int load(const char *language, const char *text)
{
    int fd, rc;

    strcpy(path + strlen(path) - 6, "XXXXXX");
    fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    rc = logic_notice_load(language, path);
    unlink(path);
    return rc;
}

static bool utf8_text(const char *s)
{
    return s && s[0] && strlen(s) < 190;
}

static void test_every_event_speaks_every_language(void **state)
{
    static const char *const languages[] = {"en", "zh", "ja"};
    int events = 0;

    for (int type = 1; type < 3000; type++) {
        const char *title[3];

        for (int l = 0; l < 3; l++) {
            assert_int_equal(logic_notice_load(languages[l], ""), OIM_OK);
            const struct logic_notice_rule *rule = logic_notice_rule(type);

            assert_non_null(rule);
            title[l] = rule->title;
            if (rule->name[0] == '\0') continue;
            events++;
            if (!utf8_text(rule->title) || !utf8_text(rule->text)) fail_msg("%s has no words in %s", rule->name, languages[l]);
            assert_string_equal(rule->ex, "");
        }
        if (logic_notice_rule(type)->name[0] == '\0') continue;
        assert_string_not_equal(title[0], title[1]);
        assert_string_not_equal(title[0], title[2]);
    }
    assert_int_equal(events, 3 * 32);
}

static void test_defaults(void **state)
{
    static const int32_t visible[] = {1201, 1501, 1504, 1507, 1508, 1509, 1510, 1511, 1512, 1513, 1514, 1515, 1519, 1520, 1701};
    static const int32_t pushed[] = {1201, 1202, 1203, 1503, 1505, 1506};
    static const int32_t stored[] = {2101, 2102, 2200};
    size_t v = 0, p = 0, s = 0;

    assert_int_equal(logic_notice_load("en", ""), OIM_OK);
    for (int32_t type = 0; type < 3000; type++) {
        const struct logic_notice_rule *rule = logic_notice_rule(type);

        if (rule->visible) assert_int_equal(type, visible[v++]);
        if (rule->offline_push) assert_int_equal(type, pushed[p++]);
        if (rule->reliable) assert_int_equal(type, stored[s++]);
    }
    assert_int_equal(v, 15);
    assert_int_equal(p, 6);
    assert_int_equal(s, 3);
}

static void test_unknown_types_do_nothing(void **state)
{
    const struct logic_notice_rule *rule = logic_notice_rule(2001);

    assert_false(rule->visible || rule->offline_push || rule->reliable);
    assert_string_equal(rule->title, "");
    assert_string_equal(logic_notice_words("noSuchThing", "en")->title, "");
    assert_string_equal(logic_notice_words("groupMuted", "fr")->title, logic_notice_words("groupMuted", "en")->title);
}

static void test_file(void **state)
{
    assert_int_equal(load("zh", "; mine\n[groupMuted]\nisSendMsg = false\nofflinePush = TRUE\ntitle = 静かに\next = {\"a\":1}\n"
                                "[friendInfoUpdated]\ndesc = d\n"), OIM_OK);
    const struct logic_notice_rule *rule = logic_notice_rule(LOGIC_N_GROUP_MUTED);

    assert_false(rule->visible);
    assert_true(rule->offline_push);
    assert_string_equal(rule->title, "静かに");
    assert_string_equal(rule->text, logic_notice_words("groupMuted", "zh")->text);
    assert_string_equal(rule->ex, "{\"a\":1}");
    assert_true(logic_notice_rule(LOGIC_N_GROUP_UNMUTED)->visible);
    /* two types of one name */
    assert_string_equal(logic_notice_rule(LOGIC_N_FRIEND_INFO)->text, "d");
    assert_string_equal(logic_notice_rule(LOGIC_N_FRIENDS_INFO)->text, "d");
    /* and gone with the next one */
    assert_int_equal(load("zh", ""), OIM_OK);
    assert_true(logic_notice_rule(LOGIC_N_GROUP_MUTED)->visible);
}

static void test_refusals(void **state)
{
    char line[1024] = "[groupMuted]\ntitle = ";

    assert_int_equal(logic_notice_load("en", "/nonexistent/notification.conf"), OIM_EPARSE);
    assert_int_equal(load("en", "[groupMutet]\nisSendMsg = true\n"), OIM_EPARSE);
    assert_int_equal(load("en", "[groupMuted]\nisSendMsg = yes\n"), OIM_EPARSE);
    assert_int_equal(load("en", "[groupMuted]\nunreadCount = true\n"), OIM_EPARSE);
    assert_int_equal(load("en", "[groupMuted]\nnonsense\n"), OIM_EPARSE);
    assert_int_equal(load("en", "title = x\n"), OIM_EPARSE);
    memset(line + strlen(line), 'x', 900);
    assert_int_equal(load("en", line), OIM_EPARSE);
}

/* The file of the repository is what --print-notifications prints, and it changes nothing. */
static void test_sample(void **state)
{
    char *printed = NULL, *there;
    size_t size = 0;
    FILE *f = open_memstream(&printed, &size);

    logic_notice_print(f, "en");
    fclose(f);
    f = fopen(sample, "r");
    assert_non_null(f);
    there = calloc(1, size + 2);
    assert_int_equal(fread(there, 1, size + 1, f), size);
    fclose(f);
    assert_string_equal(there, printed);
    assert_int_equal(logic_notice_load("ja", sample), OIM_OK);
    assert_true(logic_notice_rule(LOGIC_N_GROUP_MUTED)->visible);
    assert_string_equal(logic_notice_rule(LOGIC_N_GROUP_MUTED)->title, logic_notice_words("groupMuted", "ja")->title);
    free(there);
    free(printed);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_event_speaks_every_language),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_unknown_types_do_nothing),
        cmocka_unit_test(test_file),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_sample),
    };
    int failed;

    sample = argc > 1 ? argv[1] : "config/notification.conf";
    failed = cmocka_run_group_tests_name("notices", tests, NULL, NULL);
    fflush(stderr);
    printf("%d passed, %d failed\n", (int)(sizeof(tests) / sizeof(tests[0])) - failed, failed);
    return failed != 0;
}
