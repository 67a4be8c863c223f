/*
 * Presets: a part's list of layers made from a few numbers and the data's shape, written as the
 * job file would be.  One row a preset, one function a part.
 */
#ifndef PRESET_H
#define PRESET_H

#include "model/check.h"
#include "proto/jobfile.h"

#include <stdbool.h>

enum { PRESET_LAYERS_MAX = 64 };

struct preset_build {
    const struct job_file *job;
    const struct part_spec *part; /* with the preset's name and attributes */
    const struct data_shape *data;
    struct cam_arena *arena;
    int64_t width;
    struct layer_spec *layers;
    int layer_count;
    enum cam_code rc;
    struct cam_err *err;
};

/* One more layer; the format makes its attributes in YAML ("{units: %d}"), NULL: none. */
void preset_layer(struct preset_build *build, const char *type, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Fails with the line of the part. */
void preset_fail(struct preset_build *build, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The part with its layers: a copy of `part` where it lists layers, else the preset's.  CAM_INVALID
 * with "FILE:LINE: ...". */
CAM_CHECKED enum cam_code preset_expand(const struct job_file *job, const struct part_spec *part,
                                        const struct data_shape *data, struct cam_arena *arena,
                                        struct part_spec *out, struct cam_err *err);

/* All presets, and the attributes that each of them takes. */
const char *const *preset_names(size_t *count_out);
const char *const *preset_keys(size_t *count_out);

/* dcgan.c, classic.c */
void dcgan_generator(struct preset_build *build);
void dcgan_discriminator(struct preset_build *build);
void classic_generator(struct preset_build *build);
void classic_discriminator(struct preset_build *build);

#endif
