/* See archive.h. The children live in this process' group and end with it. */
#include "archive.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILDREN 16

static pid_t children[CHILDREN];

void worker_start(struct worker *w)
{
    char program[512];
    pid_t parent = getpid();

    snprintf(program, sizeof(program), "%s/bin/openim-archive", getenv("BUILD"));
    if (*w->instance == '\0') snprintf(w->instance, sizeof(w->instance), "%s", conf.general.instance);
    snprintf(w->log, sizeof(w->log), "%s/%s.log", state_dir, w->instance);
    w->pid = fork();
    assert_true(w->pid >= 0);
    if (w->pid == 0) {
        int fd = open(w->log, O_WRONLY | O_CREAT | O_APPEND, 0600);

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) _exit(1);
        dup2(fd, STDERR_FILENO);
        setenv("OPENIM_GENERAL_INSTANCE", w->instance, 1);
        if (w->mysql) setenv("OPENIM_MYSQL_ADDRESS", w->mysql, 1);
        if (w->mongo) setenv("OPENIM_MONGO_URI", w->mongo, 1);
        execl(program, program, NULL);
        dprintf(STDERR_FILENO, "cannot run %s\n", program);
        _exit(127);
    }
    for (int i = 0; i < CHILDREN; i++) {
        if (children[i]) continue;
        children[i] = w->pid;
        return;
    }
    fail_msg("too many workers");
}

static void forget(struct worker *w)
{
    for (int i = 0; i < CHILDREN; i++) {
        if (children[i] == w->pid) children[i] = 0;
    }
    w->pid = 0;
}

static int collect(struct worker *w, int signal)
{
    int status = 0;

    if (w->pid == 0) return -1; /* ended by itself */
    kill(w->pid, signal);
    waitpid(w->pid, &status, 0);
    forget(w);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void worker_kill(struct worker *w)
{
    collect(w, SIGKILL);
}

int worker_stop(struct worker *w)
{
    return collect(w, SIGTERM);
}

void worker_pause(struct worker *w, bool pause)
{
    if (w->pid) kill(w->pid, pause ? SIGSTOP : SIGCONT);
}

bool worker_alive(struct worker *w)
{
    if (w->pid && waitpid(w->pid, NULL, WNOHANG) != 0) forget(w);
    return w->pid != 0;
}

int worker_logged(const struct worker *w, const char *text)
{
    FILE *file = fopen(w->log, "r");
    char line[8192];
    int n = 0;

    while (file && fgets(line, sizeof(line), file)) n += strstr(line, text) != NULL;
    if (file) fclose(file);
    return n;
}

void worker_show(const struct worker *w, const char *text)
{
    FILE *file = fopen(w->log, "r");
    char line[8192];

    while (file && fgets(line, sizeof(line), file)) {
        if (strstr(line, text)) fputs(line, stdout);
    }
    if (file) fclose(file);
}

/* What is still there belongs to a test that failed: its logs are shown. */
void workers_end(void)
{
    char command[256];
    bool any = false;

    for (int i = 0; i < CHILDREN; i++) {
        if (children[i] == 0) continue;
        kill(children[i], SIGKILL);
        waitpid(children[i], NULL, 0);
        children[i] = 0;
        any = true;
    }
    if (!any) return;
    snprintf(command, sizeof(command), "tail -n 40 %s/*.log", state_dir);
    if (system(command)) return;
}
