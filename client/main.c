/* cambrian: a command line to the daemon. */
#include "base/text.h"
#include "client/invocation.h"
#include "client/output.h"

#include <signal.h>
#include <stdio.h>

static void add_option(struct cam_text *out, const char *name, const char *letter,
                       const char *value, const char *help)
{
    struct cam_text left = {0};
    cam_text_add(&left, "%s%s%s%s%s", letter != NULL ? letter : "", letter != NULL ? ", " : "",
                 name, value != NULL ? " " : "", value != NULL ? value : "");
    cam_text_add(out, "  %-22s %s\n", left.bytes != NULL ? left.bytes : name, help);
    cam_text_release(&left);
}

static void add_command_help(struct cam_text *out, const struct command *command)
{
    cam_text_add(out, "cambrian %s%s%s%s\n  %s\n", command->name,
                 command->options != 0 ? " [OPTION...]" : "",
                 command->arguments[0] != '\0' ? " " : "", command->arguments, command->summary);
    for (int i = 0; i < OPTION_COUNT; i++) {
        if ((command->options & (1U << i)) != 0) {
            add_option(out, OPTIONS[i].name, OPTIONS[i].letter, OPTIONS[i].value, OPTIONS[i].help);
        }
    }
    add_option(out, "--socket", NULL, "PATH", "the daemon's socket (or CAMBRIAN_SOCKET)");
}

static void add_help(struct cam_text *out)
{
    size_t count = 0;
    const struct command *rows = commands(&count);
    cam_text_add(out, "cambrian COMMAND [OPTION...] [ARGUMENT...]\n\n");
    for (size_t i = 0; i < count; i++) {
        char left[32];
        (void)snprintf(left, sizeof left, "%s %s", rows[i].name, rows[i].arguments);
        cam_text_add(out, "  %-18s %s\n", left, rows[i].summary);
    }
    cam_text_add(out, "\n`cambrian COMMAND --help` lists the options of a command.\n"
                      "Exit codes: 0 done, 1 the job or request failed, 2 wrong command line, "
                      "3 no daemon.\n");
}

static int print_help(const struct invocation *in, bool version)
{
    struct cam_err err;
    struct cam_text out = {0};
    if (version) {
        cam_text_add(&out, "cambrian %s\n", CAMBRIAN_VERSION);
    } else if (in->command != NULL) {
        add_command_help(&out, in->command);
    } else {
        add_help(&out);
    }
    return output_text(&out, &err) == CAM_OK ? EXIT_DONE : EXIT_REFUSED;
}

int main(int argc, char **argv)
{
    /* A reader that went away (cambrian queue | head) is an error of write, not a death. */
    (void)signal(SIGPIPE, SIG_IGN);
    struct invocation in = {.socket_path = NULL};
    struct cam_err err = {0};
    bool help = false;
    bool version = false;
    enum cam_code rc = invocation_parse(&in, argc, argv, &help, &version, &err);
    if (help || version) {
        return print_help(&in, version);
    }
    if (rc != CAM_OK) {
        (void)fprintf(stderr, "%s\n`cambrian --help` lists the commands.\n", err.text);
        return EXIT_USAGE;
    }
    rc = in.command->run(&in, &err);
    if (rc == CAM_OK) {
        return in.exit_code;
    }
    (void)fprintf(stderr, "%s\n", err.text);
    if (rc == CAM_UNAVAILABLE || rc == CAM_PEER_LOST) {
        return EXIT_NO_DAEMON;
    }
    return in.exit_code != EXIT_DONE ? in.exit_code : EXIT_REFUSED;
}
