/*
 * Presets: a part's list of layers made from a few numbers and the data's shape, written as the
 * job file would be.  One row in preset.c a preset, one function a kind of part.
 *
 * Layers are named as the published model names its tensors ("layer1.0.conv1", with dots, which a
 * job file may not use), and where a layer's own tensors have other names ("self_attn.out_proj")
 * the preset lists what they are called in checkpoints.
 *
 * Errors are sticky: after the first, readers and preset_layer do nothing.
 */
#ifndef PRESET_H
#define PRESET_H

#include "model/check.h"
#include "proto/jobfile.h"

#include <stdbool.h>

enum {
    PRESET_LAYERS_MAX = 1024,
    PRESET_KEYS_MAX = 12,
    PRESET_NAME_SIZE = 64, /* of a layer that a preset names */
};

struct preset_build {
    const struct job_file *job;
    const struct part_spec *part; /* with the preset's name and attributes */
    const struct data_shape *data;
    struct cam_arena *arena;
    int variant; /* the row's number: 18 of resnet18 */
    struct layer_spec *layers;
    int layer_count;
    const struct tensor_name *names; /* in checkpoints, see struct part_spec */
    int name_count;
    enum cam_code rc;
    struct cam_err *err;
};

/* One more layer; the format makes its attributes in YAML ("{units: %d}") with its name and inputs,
 * NULL: none. */
void preset_layer(struct preset_build *build, const char *type, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Fails with the line of the part. */
void preset_fail(struct preset_build *build, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Attributes of the preset; `otherwise` where the key is missing or after an error. */
int64_t preset_int(struct preset_build *build, const char *key, int64_t least, int64_t most,
                   int64_t otherwise);
double preset_real(struct preset_build *build, const char *key, double least, double most,
                   double otherwise);
bool preset_bool(struct preset_build *build, const char *key, bool otherwise);
/* The index of one of names[count]. */
int preset_choice(struct preset_build *build, const char *key, const char *const *names,
                  size_t count, int otherwise);

/* Attributes that several presets have: channels or features at the narrowest (1 to 8192); classes
 * of a last layer (0: none, the part gives features); the share that dropout drops. */
int64_t preset_width(struct preset_build *build, int64_t otherwise);
int64_t preset_classes(struct preset_build *build);
double preset_dropout(struct preset_build *build, double otherwise);

/* Fail where the data are not images (square ones with a side that `of` divides), or not text. */
bool preset_takes_images(struct preset_build *build);
bool preset_takes_squares(struct preset_build *build, int64_t of);
bool preset_takes_text(struct preset_build *build);

/* What a few blocks are written with: he_normal by the outputs' window, glorot_uniform times a
 * gain, as PyTorch's kaiming_normal_(mode="fan_out") and xavier_uniform_ draw them. */
double preset_fan_out_deviation(int64_t kernel, int64_t filters);
double preset_glorot_bound(double gain, int64_t fan_in, int64_t fan_out);

/* The part with its layers: a copy of `part` where it lists layers, else the preset's.  CAM_INVALID
 * with "FILE:LINE: ...". */
CAM_CHECKED enum cam_code preset_expand(const struct job_file *job, const struct part_spec *part,
                                        const struct data_shape *data, struct cam_arena *arena,
                                        struct part_spec *out, struct cam_err *err);

/* All presets, and the attributes of one: NULL after the last, at most PRESET_KEYS_MAX. */
const char *const *preset_names(size_t *count_out);
const char *const *preset_keys(const char *name);

/* Build functions by file. */
void dcgan_generator(struct preset_build *build);
void dcgan_discriminator(struct preset_build *build);
void classic_generator(struct preset_build *build);
void classic_discriminator(struct preset_build *build);
void sngan_generator(struct preset_build *build);
void sngan_discriminator(struct preset_build *build);
void mlp_generator(struct preset_build *build);
void mlp_discriminator(struct preset_build *build);
void mlp_encoder(struct preset_build *build);
void mlp_head(struct preset_build *build);
void vgg_encoder(struct preset_build *build);
void resnet_encoder(struct preset_build *build);
void vit_encoder(struct preset_build *build);
void gpt_encoder(struct preset_build *build);
void bert_encoder(struct preset_build *build);
void lstm_lm_encoder(struct preset_build *build);
void unet_decoder(struct preset_build *build);

#endif
