#include "daemon/settings.h"

#include "daemon/state_folder.h"

#include "../unit.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void command_line_wins_over_the_file(void **state)
{
    (void)state;
    struct cam_err err = {0};
    struct settings settings;
    char path[] = "/tmp/cambrian-unit-XXXXXX";
    static const char TEXT[] = "# ours\n\nslots = 6\n  stop-grace=7\nstate-dir = /a b\n";
    const char *const argv[] = {"cambriand", "--slots", "3", "--socket=/s", "--foreground"};
    int fd = mkstemp(path);
    assert_true(write(fd, TEXT, sizeof TEXT - 1) > 0);
    (void)close(fd);
    settings_defaults(&settings);
    assert_int_equal(10000, settings.silent_limit_ms);
    ASSERT_OK(settings_read_file(&settings, path, &err), err);
    ASSERT_OK(settings_read_args(&settings, 5, argv, &err), err);
    assert_int_equal(3, settings.slots);
    assert_int_equal(7000, settings.stop_grace_ms);
    assert_string_equal("/a b", settings.state_dir);
    assert_string_equal("/s", settings.socket);
    assert_true(settings.foreground && !settings.drain);
    (void)unlink(path);
}

static void mistakes_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *argv[3];
        const char *wanted;
    } ROWS[] = {
        {{"x", "--slot", "3"}, "did you mean 'slots'"},
        {{"x", "--slots", "many"}, "found 'many', 0 to 4096 ranks are allowed"},
        {{"x", "--slots", "5000"}, "found '5000'"},
        {{"x", "job.yaml", NULL}, "unexpected argument 'job.yaml'"},
        {{"x", "--socket", NULL}, "--socket needs a value"},
        {{"x", "--foreground=1", NULL}, "takes no value"},
        {{"x", "--socket", ""}, "a path is needed"},
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        struct cam_err err = {0};
        struct settings settings;
        settings_defaults(&settings);
        int argc = ROWS[i].argv[2] == NULL ? 2 : 3;
        assert_int_equal(CAM_INVALID, settings_read_args(&settings, argc, ROWS[i].argv, &err));
        if (strstr(err.text, ROWS[i].wanted) == NULL) {
            fail_msg("'%s' does not hold '%s'", err.text, ROWS[i].wanted);
        }
    }
}

/* The sample file, with its comments taken off, says the defaults. */
static void the_sample_is_the_defaults(void **state)
{
    (void)state;
    struct cam_err err = {0};
    struct settings defaults;
    struct settings read;
    char path[] = "/tmp/cambrian-unit-XXXXXX";
    char line[512];
    FILE *sample = tmpfile();
    FILE *file = fdopen(mkstemp(path), "w");
    settings_print_sample(sample);
    rewind(sample);
    while (fgets(line, sizeof line, sample) != NULL) {
        /* "#name = value": one that has a value is uncommented */
        const char *equals = strstr(line, " = ");
        if (line[0] == '#' && line[1] != ' ' && equals != NULL && equals[3] != '\n') {
            (void)fputs(line + 1, file);
        }
    }
    (void)fclose(file);
    (void)fclose(sample);
    settings_defaults(&defaults);
    settings_defaults(&read);
    read.slots = -1;
    read.log_bytes_max = -1;
    ASSERT_OK(settings_read_file(&read, path, &err), err);
    assert_memory_equal(&defaults, &read, sizeof defaults);
    (void)unlink(path);
}

static void network_file_systems_are_refused(void **state)
{
    (void)state;
    static const struct {
        int64_t type;
        const char *name; /* NULL: fine */
    } ROWS[] = {
        {0x6969, "NFS"},        {0xff534d42, "CIFS"}, {(int32_t)0xff534d42, "CIFS"},
        {0x0bd00bd0, "Lustre"}, {0xef53, NULL},       {0x01021994, NULL},
        {0x58465342, NULL},     {0x9123683e, NULL},
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        struct cam_err err = {0};
        enum cam_code rc = state_folder_check_type("/srv/state", ROWS[i].type, &err);
        assert_int_equal(ROWS[i].name == NULL ? CAM_OK : CAM_INVALID, rc);
        if (ROWS[i].name != NULL) {
            assert_non_null(strstr(err.text, ROWS[i].name));
            assert_non_null(strstr(err.text, "/srv/state"));
        }
    }
}

int main(void)
{
    static const struct CMUnitTest TESTS[] = {
        cmocka_unit_test(command_line_wins_over_the_file),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(the_sample_is_the_defaults),
        cmocka_unit_test(network_file_systems_are_refused),
    };
    return cmocka_run_group_tests(TESTS, NULL, NULL);
}
