#include "client/invocation.h"

#include "base/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAMES_MAX = 64 };

/* What the parser remembers between two words. */
struct cursor {
    int argc;
    char **argv;
    int next;
    bool only_arguments; /* after "--" */
};

enum cam_code invocation_fail(struct invocation *in, struct cam_err *err, const char *format, ...)
{
    char text[sizeof err->text];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    in->exit_code = EXIT_USAGE;
    return cam_fail(err, CAM_INVALID, "%s", text);
}

enum cam_code invocation_number(struct invocation *in, const char *what, const char *text,
                                int64_t most, int64_t *out, struct cam_err *err)
{
    errno = 0;
    char *end = NULL;
    long long value = strtoll(text, &end, 10);
    bool number = text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0;
    if (!number || value < 1 || value > most) {
        return invocation_fail(in, err, "%s is '%s', a whole number from 1 is expected", what,
                               text);
    }
    *out = value;
    return CAM_OK;
}

enum cam_code invocation_id(struct invocation *in, int i, int64_t *id_out, struct cam_err *err)
{
    return invocation_number(in, "the job's id", in->arguments[i], INT64_MAX, id_out, err);
}

static enum cam_code unknown(const char *what, const char *word, const char *const *names,
                             size_t count, struct cam_err *err)
{
    const char *near = cam_nearest(word, names, count);
    return cam_fail(err, CAM_INVALID, "unknown %s '%s'%s%s%s", what, word,
                    near != NULL ? ", did you mean '" : "", near != NULL ? near : "",
                    near != NULL ? "'?" : "");
}

static enum cam_code unknown_command(const char *word, struct cam_err *err)
{
    size_t count = 0;
    const struct command *rows = commands(&count);
    const char *names[NAMES_MAX];
    for (size_t i = 0; i < count && i < NAMES_MAX; i++) {
        names[i] = rows[i].name;
    }
    return unknown("command", word, names, count, err);
}

static enum cam_code unknown_option(const struct invocation *in, const char *word,
                                    struct cam_err *err)
{
    const char *names[NAMES_MAX] = {"--socket", "--help"};
    size_t count = 2;
    for (int i = 0; i < OPTION_COUNT; i++) {
        if (in->command != NULL && (in->command->options & (1U << i)) != 0) {
            names[count++] = OPTIONS[i].name;
        }
    }
    return unknown(in->command != NULL ? "option of this command" : "option", word, names, count,
                   err);
}

/* Whether word is the option of this name, alone or as --name=value. */
static bool is_option(const char *word, const char *name, const char *letter,
                      const char **joined_out)
{
    size_t length = strlen(name);
    *joined_out = NULL;
    if (strncmp(word, name, length) == 0 && (word[length] == '\0' || word[length] == '=')) {
        *joined_out = word[length] == '=' ? word + length + 1 : NULL;
        return true;
    }
    return letter != NULL && strcmp(word, letter) == 0;
}

static enum cam_code take_value(struct cursor *c, const char *name, const char *joined,
                                const char **out, struct cam_err *err)
{
    if (joined == NULL && c->next >= c->argc) {
        return cam_fail(err, CAM_INVALID, "%s needs a value", name);
    }
    *out = joined != NULL ? joined : c->argv[c->next++];
    return CAM_OK;
}

static enum cam_code keep_value(struct invocation *in, int option, const char *value,
                                struct cam_err *err)
{
    in->values[option] = value;
    size_t *count = option == OPTION_SET     ? &in->set.count
                    : option == OPTION_AFTER ? &in->after.count
                                             : &in->state.count;
    const char **values = option == OPTION_SET     ? in->set.value
                          : option == OPTION_AFTER ? in->after.value
                                                   : in->state.value;
    if (OPTIONS[option].repeated) {
        if (*count == OPTION_VALUES_MAX) {
            return cam_fail(err, CAM_INVALID, "%s more than %d times", OPTIONS[option].name,
                            OPTION_VALUES_MAX);
        }
        values[(*count)++] = value;
    }
    return CAM_OK;
}

static enum cam_code take_option(struct invocation *in, struct cursor *c, const char *word,
                                 struct cam_err *err)
{
    const char *joined = NULL;
    if (is_option(word, "--socket", NULL, &joined)) {
        return take_value(c, "--socket", joined, &in->socket_path, err);
    }
    for (int i = 0; i < OPTION_COUNT; i++) {
        const struct option_row *row = &OPTIONS[i];
        bool mine = in->command != NULL && (in->command->options & (1U << i)) != 0;
        if (!mine || !is_option(word, row->name, row->letter, &joined)) {
            continue;
        }
        in->given[i] = true;
        if (row->value == NULL) {
            return joined == NULL ? CAM_OK
                                  : cam_fail(err, CAM_INVALID, "%s takes no value", row->name);
        }
        const char *value = NULL;
        enum cam_code rc = take_value(c, row->name, joined, &value, err);
        return rc == CAM_OK ? keep_value(in, i, value, err) : rc;
    }
    return unknown_option(in, word, err);
}

static enum cam_code take_word(struct invocation *in, struct cursor *c, const char *word,
                               struct cam_err *err)
{
    if (!c->only_arguments && word[0] == '-' && word[1] != '\0') {
        return take_option(in, c, word, err);
    }
    if (in->command == NULL) {
        in->command = command_find(word);
        return in->command != NULL ? CAM_OK : unknown_command(word, err);
    }
    if (in->argument_count >= in->command->arguments_most) {
        return cam_fail(err, CAM_INVALID, "'%s' is one argument too many: cambrian %s%s%s", word,
                        in->command->name, in->command->arguments[0] != '\0' ? " " : "",
                        in->command->arguments);
    }
    in->arguments[in->argument_count++] = word;
    return CAM_OK;
}

enum cam_code invocation_parse(struct invocation *in, int argc, char **argv, bool *help_out,
                               bool *version_out, struct cam_err *err)
{
    struct cursor c = {.argc = argc, .argv = argv, .next = 1};
    while (c.next < argc) {
        const char *word = argv[c.next++];
        bool option = !c.only_arguments;
        *help_out = option && (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0);
        *help_out = *help_out || (in->command == NULL && strcmp(word, "help") == 0);
        *version_out = option && in->command == NULL && strcmp(word, "--version") == 0;
        if (*help_out || *version_out) {
            return CAM_STOPPED;
        }
        if (option && strcmp(word, "--") == 0) {
            c.only_arguments = true;
            continue;
        }
        enum cam_code rc = take_word(in, &c, word, err);
        if (rc != CAM_OK) {
            return rc;
        }
    }
    if (in->command == NULL) {
        return cam_fail(err, CAM_INVALID, "a command is missing");
    }
    if (in->argument_count < in->command->arguments_least) {
        return cam_fail(err, CAM_INVALID, "%s is missing: cambrian %s %s", in->command->arguments,
                        in->command->name, in->command->arguments);
    }
    return CAM_OK;
}
