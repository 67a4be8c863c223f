/* The tables of options and commands. */
#include "client/invocation.h"

#include <string.h>

const struct option_row OPTIONS[OPTION_COUNT] = {
    [OPTION_JSON] = {.name = "--json", .help = "print JSON with stable names"},
    [OPTION_SET] = {.name = "--set",
                    .value = "KEY=VALUE",
                    .repeated = true,
                    .help = "change a key of the job file, as in train.epochs=5"},
    [OPTION_AFTER] = {.name = "--after",
                      .value = "ID",
                      .repeated = true,
                      .help = "start once job ID has succeeded"},
    [OPTION_HOLD] = {.name = "--hold", .help = "do not start it before `cambrian release`"},
    [OPTION_KEY] = {.name = "--key",
                    .value = "KEY",
                    .help = "submit at most once: the same key gives the same job"},
    [OPTION_ALL] = {.name = "--all", .help = "also jobs that ended long ago"},
    [OPTION_STATE] = {.name = "--state",
                      .value = "STATE",
                      .repeated = true,
                      .help = "only jobs in this state"},
    [OPTION_FOLLOW] = {.name = "--follow", .letter = "-f", .help = "go on until the job has ended"},
    [OPTION_ATTEMPT] = {.name = "--attempt",
                        .value = "N",
                        .help = "of this attempt, not of the last"},
    [OPTION_NOW] = {.name = "--now", .help = "kill it: what no checkpoint holds is lost"},
    [OPTION_OUTPUT] = {.name = "--output",
                       .letter = "-o",
                       .value = "PATH",
                       .help = "where to write; - is standard output"},
    [OPTION_EPOCH] = {.name = "--epoch", .value = "N", .help = "after epoch N, not the newest"},
    [OPTION_DIGEST] = {.name = "--digest",
                       .help = "compute the digest of a safetensors file; no daemon is asked"},
    [OPTION_MARKDOWN] = {.name = "--markdown", .help = "print the table of keys instead"},
    [OPTION_PLAN] = {.name = "--plan",
                     .help = "also every step of every phase: operators, shapes, bytes, FLOPs"},
};

#define BIT(option) (1U << (option))

static const struct command COMMANDS[] = {
    {"submit", "FILE", 1, 1,
     BIT(OPTION_SET) | BIT(OPTION_AFTER) | BIT(OPTION_HOLD) | BIT(OPTION_KEY) | BIT(OPTION_JSON),
     command_submit, "put a job into the queue and print its id (FILE - is standard input)"},
    {"check", "FILE", 1, 1, BIT(OPTION_SET) | BIT(OPTION_JSON) | BIT(OPTION_PLAN), command_check,
     "say whether a job can run and what it costs; no daemon is asked"},
    {"queue", "", 0, 0, BIT(OPTION_ALL) | BIT(OPTION_STATE) | BIT(OPTION_JSON), command_queue,
     "list the jobs, with the reason for waiting"},
    {"show", "ID", 1, 1, BIT(OPTION_JSON), command_show,
     "all that is known of a job, with the losses of each epoch"},
    {"events", "ID", 1, 1, BIT(OPTION_JSON), command_events, "what happened to a job, and why"},
    {"logs", "ID", 1, 1, BIT(OPTION_FOLLOW) | BIT(OPTION_ATTEMPT), command_logs,
     "what the job's ranks print"},
    {"watch", "ID", 1, 1, 0, command_watch, "progress and losses of a job, live until it ends"},
    {"wait", "ID", 1, 1, 0, command_wait,
     "wait for the end of a job; exit with 0 only if it succeeded"},
    {"cancel", "ID...", 1, ARGUMENTS_MAX, BIT(OPTION_NOW) | BIT(OPTION_JSON), command_change,
     "end a job, at a checkpoint that `cambrian resume` goes on from"},
    {"hold", "ID...", 1, ARGUMENTS_MAX, BIT(OPTION_JSON), command_change,
     "keep a queued job from starting"},
    {"release", "ID...", 1, ARGUMENTS_MAX, BIT(OPTION_JSON), command_change,
     "let a held job start"},
    {"resume", "ID...", 1, ARGUMENTS_MAX, BIT(OPTION_JSON), command_change,
     "queue an ended job again, to go on from its last checkpoint"},
    {"samples", "ID", 1, 1, BIT(OPTION_OUTPUT) | BIT(OPTION_EPOCH), command_samples,
     "fetch the grid of samples of an epoch as PNG"},
    {"weights", "ID|FILE", 1, 1, BIT(OPTION_OUTPUT) | BIT(OPTION_DIGEST), command_weights,
     "fetch the trained weights as model.safetensors, or compute a digest"},
    {"status", "", 0, 0, BIT(OPTION_JSON), command_status, "the daemon: slots, disk, queue"},
    {"schema", "", 0, 0, BIT(OPTION_MARKDOWN), command_schema,
     "print the JSON schema of job files"},
};

const struct command *commands(size_t *count_out)
{
    *count_out = sizeof COMMANDS / sizeof COMMANDS[0];
    return COMMANDS;
}

const struct command *command_find(const char *name)
{
    for (size_t i = 0; i < sizeof COMMANDS / sizeof COMMANDS[0]; i++) {
        if (strcmp(COMMANDS[i].name, name) == 0) {
            return &COMMANDS[i];
        }
    }
    return NULL;
}
