/*
 * Job files of tests, and the trainings they make.
 */
#ifndef JOB_TEXT_H
#define JOB_TEXT_H

#include "base/arena.h"
#include "model/recipes/training.h"

#include <stdio.h>
#include <string.h>

static const struct data_shape MNIST = {
    .count = 60000, .height = 28, .width = 28, .channels = 1, .classes = 10};

/* What stands above and below the `model:` of every test's job file. */
#define JOB_HEAD "name: test\nkind: gan\ndata: glyphs\n"
#define JOB_TAIL                                                                                   \
    "loss: non_saturating\n"                                                                       \
    "optimizer: {adam: {lr: 2e-4, beta1: 0.5}}\n"                                                  \
    "train: {epochs: 2, batch: 64, shards: 4, seed: 7}\n"

struct parsed_job {
    struct cam_arena *arena;
    struct job_file file;
};

/* For texts that may be none. */
static inline enum cam_code try_job(const char *text, struct parsed_job *out, struct cam_err *err)
{
    const struct job_text request = {
        .file_name = "job.yaml", .base_dir = "/jobs", .text = text, .size = strlen(text)};
    *out = (struct parsed_job){.arena = cam_arena_create()};
    return jobfile_parse(&request, out->arena, &out->file, err);
}

static inline struct parsed_job parse_job(const char *text, const char *const *set,
                                          size_t set_count)
{
    struct parsed_job job = {.arena = cam_arena_create()};
    struct cam_err err = {0};
    struct job_text request = {.file_name = "job.yaml",
                               .base_dir = "/jobs",
                               .text = text,
                               .size = strlen(text),
                               .set = set,
                               .set_count = set_count};
    ASSERT_OK(jobfile_parse(&request, job.arena, &job.file, &err), err);
    return job;
}

#define PRESET_JOB(preset, width)                                                                  \
    JOB_HEAD "model:\n  latent: 100\n  generator: {preset: " preset ", width: " width "}\n"        \
             "  discriminator: {preset: " preset ", width: " width "}\n" JOB_TAIL

#endif
