/* The end of everything below the shim, with and without a readable /proc. */
#include "daemon/shim/family.h"

#include "../unit.h"

#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LIMIT_MS = 200 };

/* What a case is: who is there to be ended, and whether /proc can be looked at. */
struct scene {
    bool blind;
    bool stranger; /* a child that is neither watched nor goes with it */
    bool grandchild;
    enum cam_code wanted;
};

static pid_t sleeper(bool grandchild)
{
    int ready[2];
    char byte = 0;
    if (pipe(ready) != 0) {
        _exit(90);
    }
    pid_t pid = fork();
    if (pid == 0) {
        if (grandchild && fork() == 0) {
            (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
            (void)!write(ready[1], "", 1);
            for (;;) {
                (void)pause();
            }
        }
        if (!grandchild) {
            (void)!write(ready[1], "", 1);
        }
        for (;;) {
            (void)pause();
        }
    }
    if (pid < 0 || read(ready[0], &byte, 1) != 1) {
        _exit(91);
    }
    (void)close(ready[0]);
    (void)close(ready[1]);
    return pid;
}

/* In a process of its own, which becomes the reaper; the exit status is 0 when all is as wanted. */
static int play(const struct scene *scene)
{
    struct cam_err err = {0};
    int status = -1;
    if (family_adopt(&err) != CAM_OK) {
        return 92;
    }
    pid_t watched = sleeper(scene->grandchild);
    pid_t stranger = scene->stranger ? sleeper(false) : -1;
    /* Root is held to this too: no file can be opened, of /proc or other. */
    const struct rlimit none = {0, 0};
    if (scene->blind && setrlimit(RLIMIT_NOFILE, &none) != 0) {
        return 93;
    }
    enum cam_code rc = family_end(watched, LIMIT_MS, &status, &err);
    if (stranger > 0) {
        (void)kill(stranger, SIGKILL);
    }
    if (rc != scene->wanted || !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
        return 1;
    }
    return rc != CAM_OK && strstr(err.text, "/proc") == NULL ? 2 : 0;
}

static void check(const struct scene *scene)
{
    int status = -1;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)alarm(20);
        _exit(play(scene));
    }
    assert_int_equal(pid, waitpid(pid, &status, 0));
    assert_true(WIFEXITED(status));
    assert_int_equal(0, WEXITSTATUS(status));
}

static void test_all_are_ended(void **state)
{
    (void)state;
    check(&(struct scene){.stranger = true, .grandchild = true, .wanted = CAM_OK});
}

/* mpirun's own are bound to it. */
static void test_without_proc_the_watched_one_takes_its_own_along(void **state)
{
    (void)state;
    check(&(struct scene){.blind = true, .grandchild = true, .wanted = CAM_OK});
}

static void test_without_proc_the_wait_has_an_end(void **state)
{
    (void)state;
    check(&(struct scene){.blind = true, .stranger = true, .wanted = CAM_IO});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_are_ended),
        cmocka_unit_test(test_without_proc_the_watched_one_takes_its_own_along),
        cmocka_unit_test(test_without_proc_the_wait_has_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
