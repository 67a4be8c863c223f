#include "daemon/settings.h"

#include "base/mem.h"
#include "base/text.h"

#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_BYTES_MAX = 256 * 1024, NAME_SIZE = 64 };

enum setting_kind { SETTING_PATH, SETTING_NUMBER, SETTING_FLAG, SETTING_CHOICE };

struct setting {
    const char *name;
    enum setting_kind kind;
    size_t offset;
    bool only_args; /* makes no sense in a file */
    int64_t start;  /* number: default and range, in the field's unit */
    int64_t least;
    int64_t most;
    const char *start_text; /* path, choice: default */
    const char *unit;       /* of what the user writes; "s" is stored as ms, "MiB" as bytes; of a
                             * choice its words, "own|all", of which the place is stored */
    const char *help;
};

#define FIELD(name) offsetof(struct settings, name)
#define PATH_SETTING(name, field, start, help)                                                     \
    {                                                                                              \
        name, SETTING_PATH, FIELD(field), false, 0, 0, 0, start, "path", help                      \
    }

static const struct setting SETTINGS[] = {
    PATH_SETTING("state-dir", state_dir, "",
                 "database and locks, on a local disk (default: /var/lib/cambrian for root, "
                 "$XDG_STATE_HOME/cambrian or ~/.local/state/cambrian for users)"),
    PATH_SETTING("jobs-dir", jobs_dir, "",
                 "job folders and checkpoints (default: STATE/jobs); may be shared by hosts"),
    PATH_SETTING("socket", socket, "",
                 "where clients connect (default: /run/cambrian/cambriand.sock for root, "
                 "$XDG_RUNTIME_DIR/cambrian/cambriand.sock or STATE/cambriand.sock for users)"),
    PATH_SETTING("scratch-dir", scratch_dir, "/dev/shm", "for the ranks' shared memory; on tmpfs"),
    PATH_SETTING("mpirun", mpirun, "", "Open MPI's mpirun (default: found on PATH)"),
    {"users", SETTING_CHOICE, FIELD(users), false, 0, 0, 0, "own", "own|all",
     "who may connect: the daemon's own user and root, or (a daemon of root's) every local user, "
     "whose jobs then run as themselves"},
    {"slots", SETTING_NUMBER, FIELD(slots), false, 0, 0, 4096, NULL, "ranks",
     "ranks that may run at once; 0: as many as GPUs, without GPUs as cores"},
    {"stop-grace", SETTING_NUMBER, FIELD(stop_grace_ms), false, 60, 1, 86400, NULL, "s",
     "for a stopping job to save and end, before it is killed"},
    {"kill-grace", SETTING_NUMBER, FIELD(kill_grace_ms), false, 5, 0, 3600, NULL, "s",
     "between SIGTERM and SIGKILL at a job's time limit"},
    {"silent-limit", SETTING_NUMBER, FIELD(silent_limit_ms), false, 10, 2, 3600, NULL, "s",
     "a rank without a heartbeat for this long hangs"},
    {"attach-limit", SETTING_NUMBER, FIELD(attach_limit_ms), false, 120, 5, 3600, NULL, "s",
     "a rank that has not reported this long after the launch hangs"},
    {"frame-limit", SETTING_NUMBER, FIELD(frame_limit_ms), false, 10, 1, 600, NULL, "s",
     "for a client to finish a message that it began"},
    {"log-size", SETTING_NUMBER, FIELD(log_bytes_max), false, 16, 1, 4096, NULL, "MiB",
     "of an attempt's log before it becomes log.1"},
    {"config", SETTING_PATH, FIELD(config), true, 0, 0, 0, "", "path", "the settings file"},
    {"foreground", SETTING_FLAG, FIELD(foreground), true, 0, 0, 0, NULL, NULL,
     "stay in the foreground and log to standard error"},
    {"drain", SETTING_FLAG, FIELD(drain), true, 0, 0, 0, NULL, NULL,
     "tell the running daemon to end its jobs at checkpoints, then end"},
    {"print-settings", SETTING_FLAG, FIELD(sample), true, 0, 0, 0, NULL, NULL,
     "print a settings file with the defaults"},
    {"version", SETTING_FLAG, FIELD(version), true, 0, 0, 0, NULL, NULL, "print the version"},
    {"help", SETTING_FLAG, FIELD(help), true, 0, 0, 0, NULL, NULL, "print this"},
};

enum { SETTING_COUNT = sizeof SETTINGS / sizeof SETTINGS[0] };

static int64_t scale_of(const struct setting *setting)
{
    return setting->unit == NULL               ? 1
           : strcmp(setting->unit, "s") == 0   ? 1000
           : strcmp(setting->unit, "MiB") == 0 ? 1024 * 1024
                                               : 1;
}

static void *field_of(struct settings *settings, const struct setting *setting)
{
    return (char *)settings + setting->offset;
}

void settings_defaults(struct settings *out)
{
    *out = (struct settings){0};
    for (int i = 0; i < SETTING_COUNT; i++) {
        const struct setting *setting = &SETTINGS[i];
        if (setting->kind == SETTING_NUMBER) {
            *(int64_t *)field_of(out, setting) = setting->start * scale_of(setting);
        } else if (setting->kind == SETTING_PATH) {
            (void)snprintf(field_of(out, setting), CAM_PATH_SIZE, "%s", setting->start_text);
        }
    }
}

static enum cam_code find_setting(const char *name, const struct setting **out, struct cam_err *err)
{
    const char *names[SETTING_COUNT];
    for (int i = 0; i < SETTING_COUNT; i++) {
        names[i] = SETTINGS[i].name;
        if (strcmp(SETTINGS[i].name, name) == 0) {
            *out = &SETTINGS[i];
            return CAM_OK;
        }
    }
    const char *near = cam_nearest(name, names, SETTING_COUNT);
    return near == NULL
               ? cam_fail(err, CAM_INVALID, "unknown setting '%s'", name)
               : cam_fail(err, CAM_INVALID, "unknown setting '%s', did you mean '%s'?", name, near);
}

static enum cam_code assign_choice(struct settings *settings, const struct setting *setting,
                                   const char *value, struct cam_err *err)
{
    int64_t place = 0;
    size_t length = strlen(value);
    for (const char *word = setting->unit; *word != '\0'; place++) {
        size_t size = strcspn(word, "|");
        if (size == length && strncmp(word, value, size) == 0) {
            *(int64_t *)field_of(settings, setting) = place;
            return CAM_OK;
        }
        word += size + (word[size] == '|' ? 1 : 0);
    }
    return cam_fail(err, CAM_INVALID, "%s: found '%.200s', %s are allowed", setting->name, value,
                    setting->unit);
}

static enum cam_code assign(struct settings *settings, const struct setting *setting,
                            const char *value, struct cam_err *err)
{
    if (setting->kind == SETTING_FLAG) {
        *(bool *)field_of(settings, setting) = true;
        return CAM_OK;
    }
    if (setting->kind == SETTING_CHOICE) {
        return assign_choice(settings, setting, value, err);
    }
    if (setting->kind == SETTING_PATH) {
        int length = snprintf(field_of(settings, setting), CAM_PATH_SIZE, "%s", value);
        return length > 0 && length < CAM_PATH_SIZE
                   ? CAM_OK
                   : cam_fail(err, CAM_INVALID, "%s: a path is needed, found '%.200s'",
                              setting->name, value);
    }
    char *end = NULL;
    errno = 0;
    int64_t number = strtoll(value, &end, 10);
    if (errno != 0 || end == value || *end != '\0' || number < setting->least ||
        number > setting->most) {
        return cam_fail(err, CAM_INVALID, "%s: found '%.200s', %lld to %lld %s are allowed",
                        setting->name, value, (long long)setting->least, (long long)setting->most,
                        setting->unit);
    }
    *(int64_t *)field_of(settings, setting) = number * scale_of(setting);
    return CAM_OK;
}

/* Cuts blanks off both ends, in place. */
static char *trim(char *text)
{
    while (isspace((unsigned char)*text)) {
        text++;
    }
    size_t size = strlen(text);
    while (size > 0 && isspace((unsigned char)text[size - 1])) {
        text[--size] = '\0';
    }
    return text;
}

static enum cam_code read_line(struct settings *settings, char *line, struct cam_err *err)
{
    const struct setting *setting = NULL;
    line = trim(line);
    if (*line == '\0' || *line == '#') {
        return CAM_OK;
    }
    char *equals = strchr(line, '=');
    if (equals == NULL) {
        return cam_fail(err, CAM_INVALID, "'%.200s': 'name = value' is needed", line);
    }
    *equals = '\0';
    char *name = trim(line);
    enum cam_code rc = find_setting(name, &setting, err);
    if (rc == CAM_OK && setting->only_args) {
        rc = cam_fail(err, CAM_INVALID, "'%s' belongs on the command line", name);
    }
    return rc == CAM_OK ? assign(settings, setting, trim(equals + 1), err) : rc;
}

enum cam_code settings_read_file(struct settings *settings, const char *path, struct cam_err *err)
{
    char *text = NULL;
    size_t size = 0;
    enum cam_code rc = cam_file_read(path, FILE_BYTES_MAX, &text, &size, err);
    if (rc != CAM_OK) {
        return rc;
    }
    char *rest = text;
    for (int number = 1; rc == CAM_OK && rest != NULL; number++) {
        char *line = strsep(&rest, "\n");
        rc = read_line(settings, line, err);
        if (rc != CAM_OK) {
            cam_err_prefix(err, "%s:%d", path, number);
        }
    }
    cam_free(text);
    return rc;
}

enum cam_code settings_read_args(struct settings *settings, int argc, const char *const *argv,
                                 struct cam_err *err)
{
    for (int i = 1; i < argc; i++) {
        char name[NAME_SIZE];
        const struct setting *setting = NULL;
        if (strncmp(argv[i], "--", 2) != 0) {
            return cam_fail(err, CAM_INVALID, "unexpected argument '%s'", argv[i]);
        }
        const char *equals = strchr(argv[i], '=');
        size_t length = equals == NULL ? strlen(argv[i] + 2) : (size_t)(equals - argv[i] - 2);
        (void)snprintf(name, sizeof name, "%.*s", (int)(length < NAME_SIZE ? length : NAME_SIZE),
                       argv[i] + 2);
        enum cam_code rc = find_setting(name, &setting, err);
        if (rc != CAM_OK) {
            return rc;
        }
        const char *value = equals == NULL ? NULL : equals + 1;
        if (setting->kind == SETTING_FLAG && value != NULL) {
            return cam_fail(err, CAM_INVALID, "--%s takes no value", name);
        }
        if (setting->kind != SETTING_FLAG && value == NULL) {
            if (i + 1 == argc) {
                return cam_fail(err, CAM_INVALID, "--%s needs a value", name);
            }
            value = argv[++i];
        }
        rc = assign(settings, setting, value, err);
        if (rc != CAM_OK) {
            cam_err_prefix(err, "--%s", name);
            return rc;
        }
    }
    return CAM_OK;
}

void settings_print_help(FILE *out)
{
    (void)fprintf(out, "usage: cambriand [options]\n\n"
                       "Runs the job queue of Cambrian.  SIGTERM ends it and leaves training "
                       "running.\n\n");
    for (int i = 0; i < SETTING_COUNT; i++) {
        const struct setting *setting = &SETTINGS[i];
        char left[80];
        (void)snprintf(left, sizeof left, "--%s%s%s", setting->name,
                       setting->kind == SETTING_FLAG ? "" : " ",
                       setting->kind == SETTING_FLAG ? "" : setting->unit);
        (void)fprintf(out, "  %-22s %s", left, setting->help);
        if (setting->kind == SETTING_NUMBER) {
            (void)fprintf(out, " (default %lld, %lld to %lld)", (long long)setting->start,
                          (long long)setting->least, (long long)setting->most);
        }
        (void)fputc('\n', out);
    }
}

void settings_print_sample(FILE *out)
{
    (void)fprintf(out,
                  "# Settings of cambriand; these are the defaults.  The command line wins.\n");
    for (int i = 0; i < SETTING_COUNT; i++) {
        const struct setting *setting = &SETTINGS[i];
        if (setting->only_args) {
            continue;
        }
        (void)fprintf(out, "\n# %s", setting->help);
        if (setting->kind == SETTING_NUMBER) {
            (void)fprintf(out, " [%s, %lld to %lld]\n#%s = %lld\n", setting->unit,
                          (long long)setting->least, (long long)setting->most, setting->name,
                          (long long)setting->start);
        } else {
            (void)fprintf(out, "\n#%s = %s\n", setting->name, setting->start_text);
        }
    }
}
