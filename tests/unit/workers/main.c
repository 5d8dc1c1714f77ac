/* Runs every group and adds up. Settings come last: they clear the environment. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    const struct unit_group *groups[] = {&unit_memory, &unit_json_read, &unit_json_write, &unit_jwt, &unit_app, &unit_downlink, &unit_conf};
    size_t passed = 0, failed = 0;

    for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
        int bad;
        size_t n;

        if (groups[i]->needs && getenv(groups[i]->needs) == NULL) {
            printf("%s: %zu tests skipped, %s is not set\n", groups[i]->name, groups[i]->n, groups[i]->needs);
            continue;
        }
        bad = _cmocka_run_group_tests(groups[i]->name, groups[i]->tests, groups[i]->n, NULL, NULL);
        n = bad < 0 || (size_t)bad > groups[i]->n ? groups[i]->n : (size_t)bad;

        failed += n;
        passed += groups[i]->n - n;
    }
    fflush(stderr);
    printf("%zu passed, %zu failed\n", passed, failed);
    return failed != 0;
}
