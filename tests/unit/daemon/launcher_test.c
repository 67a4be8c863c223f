/* The launcher when memory is short; the core that it answers to is this file. */
#include "daemon/launcher.h"

#include "../unit.h"

#include "base/file.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct core {
    struct loop *loop;
    int ended;
    int fatal;
    bool never_started;
};

void core_adopted(struct core *core, struct post_mortem *so_far)
{
    (void)core;
    fail_msg("job %lld does not run", (long long)so_far->job_id);
}

void core_ended(struct core *core, struct post_mortem *mortem)
{
    core->ended++;
    core->never_started = mortem->never_started;
    post_mortem_release(mortem);
    loop_stop(core->loop);
}

void core_warned(struct core *core, int64_t job_id, int attempt, const char *text)
{
    (void)core;
    (void)attempt;
    fail_msg("job %lld: %s", (long long)job_id, text);
}

void core_fatal(struct core *core, const struct cam_err *why)
{
    (void)why;
    core->fatal++;
}

void post_mortem_release(struct post_mortem *mortem)
{
    cam_arena_destroy(mortem->arena);
    *mortem = (struct post_mortem){0};
}

struct scene {
    char jobs_dir[64];
    struct core core;
    struct launcher *launcher;
    struct launch_port port;
};

static int set_up(void **state)
{
    static struct scene scene;
    struct cam_err err = {0};
    scene = (struct scene){.jobs_dir = "/tmp/cambrian-launcher-XXXXXX"};
    assert_non_null(mkdtemp(scene.jobs_dir));
    ASSERT_OK(loop_create(&scene.core.loop, &err), err);
    struct launcher_options options = {
        .loop = scene.core.loop, .jobs_dir = scene.jobs_dir, .queue = "q", .endpoint = "unix:/s"};
    ASSERT_OK(launcher_create(&options, &scene.launcher, &err), err);
    launcher_set_core(scene.launcher, &scene.core);
    scene.port = launcher_port(scene.launcher);
    *state = &scene;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *scene = *state;
    struct cam_err err = {0};
    cam_fault_after(-1);
    launcher_destroy(scene->launcher);
    loop_destroy(scene->core.loop);
    ASSERT_OK(cam_folder_remove(scene->jobs_dir, &err), err);
    return 0;
}

/* The requests for memory of an adoption are refused one after the other.  As long as there is
 * nothing to remember it by, the daemon is told that it cannot go on; after that comes the pool's
 * own request, and the attempt is judged a pause later.  It is never forgotten. */
static void test_no_adoption_is_forgotten_for_lack_of_memory(void **state)
{
    struct scene *scene = *state;
    struct core *core = &scene->core;
    int refused = 0;
    (void)alarm(25);
    do {
        core->fatal = 0;
        cam_fault_after(refused++);
        scene->port.adopt(scene->port.self,
                          &(struct launch_order){.job_id = 1,
                                                 .attempt = 1,
                                                 .scratch = "/dev/shm/cambrian-none",
                                                 .owner_uid = getuid(),
                                                 .owner_gid = getgid()});
        cam_fault_after(-1);
        assert_int_equal(0, core->ended);
    } while (core->fatal > 0);
    assert_true(refused >= 3);
    loop_run(core->loop);
    (void)alarm(0);
    assert_int_equal(1, core->ended);
    assert_true(core->never_started);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(
        test_no_adoption_is_forgotten_for_lack_of_memory, set_up, tear_down)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
