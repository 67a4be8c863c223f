/*
 * The job file: what a user asks for, parsed, checked for form and filled with defaults.
 *
 * jobfile_parse is pure: text in, struct out, no I/O.  What needs shapes (do the layers fit?) is
 * model/check.h; what needs the data's headers is data/source.h.  The same text and --set pairs
 * give the same struct in client, daemon and worker.  Keys, types, defaults and ranges stand in
 * one table in jobfile.c, which also yields the JSON schema and the reference in docs/JOBFILE.md.
 */
#ifndef JOBFILE_H
#define JOBFILE_H

#include "base/arena.h"
#include "base/status.h"
#include "proto/document.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { JOBFILE_BYTES_MAX = 1024 * 1024 };

enum job_kind { JOB_KIND_GAN, JOB_KIND_FINETUNE, JOB_KIND_PRETRAIN, JOB_KIND_COUNT };

/* What a kind trains towards; each belongs to one kind (job_recipe_kind). */
enum job_recipe { RECIPE_GAN, RECIPE_CLASSIFICATION, RECIPE_CAUSAL_LM, RECIPE_COUNT };

enum data_format { DATA_GLYPHS, DATA_IDX, DATA_TEXT, DATA_GAUSSIANS, DATA_FORMAT_COUNT };

enum gaussian_layout { LAYOUT_RING, LAYOUT_GRID, LAYOUT_COUNT };

enum text_vocabulary { VOCABULARY_CHARACTERS, VOCABULARY_BYTES, VOCABULARY_COUNT };

enum device_choice { DEVICE_AUTO, DEVICE_CPU, DEVICE_REFERENCE, DEVICE_COUNT };

enum isa_choice { ISA_AVX2, ISA_NATIVE, ISA_COUNT };

enum recompute_choice { RECOMPUTE_NONE, RECOMPUTE_BLOCKS, RECOMPUTE_COUNT };

struct data_spec {
    enum data_format format;
    const char *images;            /* absolute path; NULL for the generator */
    const char *labels;            /* absolute path, or NULL */
    int64_t count;                 /* glyphs, gaussians: how many samples the generator has */
    int64_t seed;                  /* glyphs, gaussians: of the generator */
    enum gaussian_layout layout;   /* gaussians: where their means are */
    const char *validation_images; /* idx: absolute path, or NULL */
    const char *validation_labels;
    double validation_fraction; /* of the samples, kept out of training; 0: none */
    const char *path;           /* text: absolute */
    int64_t length;             /* text: tokens of a sample */
    int64_t stride;             /* text: from one sample's start to the next one's; 0: length */
    enum text_vocabulary vocabulary;
    double split; /* text: the share at the front that is trained on */
};

/* One layer as written: `- dense: {units: 1, activation: relu}`. */
struct layer_spec {
    const char *type; /* "dense" */
    const char *name; /* NULL: named by its position */
    int line;
    const char *const *inputs; /* names; count 0: the layer before */
    int input_count;
    const struct doc_node *attributes; /* map without name and input; a list or scalar for
                                          `reshape: [7, 7, 128]`, `dropout: 0.3`; NULL: none */
};

/* How a preset's checkpoints name a tensor: what its name ends with, and what stands there. */
struct tensor_name {
    const char *own;       /* "self_attn.in_proj_weight" */
    const char *published; /* "attn.c_attn.weight" */
    bool in_first;         /* a matrix stored (in, out) rather than (out, in) */
};

/* A part of the model: a list of layers, or a preset with its own attributes. */
struct part_spec {
    const char *name; /* "generator", "discriminator" */
    int line;
    const char *preset;                       /* NULL: layers given */
    const struct doc_node *preset_attributes; /* map without `preset`; NULL: none */
    const struct layer_spec *layers;
    int layer_count;
    const struct tensor_name *tensor_names; /* a preset's; count 0: layers' own names */
    int tensor_name_count;
};

/* One of several types with options of its own: `hinge` or `{wasserstein: {clip: 0.01}}`. */
struct typed_spec {
    const char *type;
    int line;
    const struct doc_node *attributes; /* map, or NULL */
};

struct typed_list {
    const struct typed_spec *items;
    int count;
};

struct optimizer_spec {
    const char *part; /* the part it updates */
    const char *type; /* "adam" */
    int line;
    const struct doc_node *attributes; /* map, or NULL */
};

enum interval_unit { INTERVAL_STEPS, INTERVAL_EPOCHS, INTERVAL_TIME };

struct interval {
    enum interval_unit unit;
    int64_t count; /* steps, epochs or milliseconds */
};

struct env_pair {
    const char *name;
    const char *value;
};

struct job_file {
    const char *file_name; /* as typed, for errors */
    const char *base_dir;  /* absolute */
    const struct doc_node *root;

    const char *name;
    enum job_kind kind;
    enum job_recipe recipe;
    struct data_spec data;
    int64_t latent;                /* size of the latent vector */
    const struct part_spec *parts; /* in the order written */
    int part_count;
    struct typed_spec loss;
    const struct optimizer_spec *optimizers; /* one a part, in the order of parts */
    int optimizer_count;
    struct {
        int64_t n_critic;
        const struct doc_node *critic_start; /* maps, or NULL */
        const struct doc_node *ema;
        struct typed_list penalties;
        struct typed_list augment;
        bool conditional;
    } gan;
    struct {
        int64_t epochs;
        int64_t batch;  /* over all ranks */
        int64_t shards; /* divides batch; default: ENGINE.md's rule */
        int64_t threads_per_shard;
        uint64_t seed;
        enum isa_choice isa;
        enum recompute_choice recompute;
        int64_t steps_per_epoch; /* 0: as many as the data have */
        double label_smoothing;
        struct typed_spec on_nan;     /* as written; means: */
        bool rollback;                /* else the job fails */
        double rollback_factor;       /* of the learning rate, each time */
        int64_t rollback_most;        /* times */
        struct interval anchor_every; /* steps, or one epoch */
    } train;
    struct {
        int64_t ranks_min;
        int64_t ranks_max;
        enum device_choice device;
        int64_t time_limit_ms; /* 0: none; sum over attempts */
    } resources;
    struct {
        struct interval every;
        int64_t keep_last;
    } checkpoint;
    struct {
        int64_t max;
        int64_t backoff_ms;
    } retry;
    const struct env_pair *env;
    int env_count;
};

/* What parsing starts from. */
struct job_text {
    const char *file_name;
    const char *base_dir; /* absolute */
    const char *text;
    size_t size;
    const char *const *set; /* "train.epochs=5" */
    size_t set_count;
};

/* Parses and checks for form; everything in *out lives in the arena.  CAM_INVALID with
 * "FILE:LINE: what was found, what is allowed" (and the nearest name where there is one). */
CAM_CHECKED enum cam_code jobfile_parse(const struct job_text *text, struct cam_arena *arena,
                                        struct job_file *out, struct cam_err *err);

/* Fails with "FILE:LINE: " before the text; path is the place in the file ("resources.ranks"). */
enum cam_code jobfile_fail(const struct job_file *job, const char *path, struct cam_err *err,
                           const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Puts "FILE:LINE: " before the error that is already there, and keeps its code. */
void jobfile_place(const struct job_file *job, const char *path, struct cam_err *err);

/* The part or optimizer of a name, or NULL. */
const struct part_spec *jobfile_part(const struct job_file *job, const char *name);
const struct optimizer_spec *jobfile_optimizer(const struct job_file *job, const char *part);

/* Layers as they were read; the list lives in the arena of the reading. */
struct layer_list {
    const struct layer_spec *layers;
    int count;
};

/* Reads a list of layers that stands inside a layer (`residual: {body: [...]}`), as those of a part
 * are read; `what` names it in errors ("body"). */
CAM_CHECKED enum cam_code jobfile_read_layers(const struct job_file *job, struct cam_arena *arena,
                                              const struct doc_node *list, const char *what,
                                              struct layer_list *out, struct cam_err *err);

/* How many shards a rank computes at once where `ranks` ranks share `cores` cores of one host: at
 * least one, at most the shards that fall to a rank.  Daemon and check must agree on it. */
int64_t jobfile_lanes(const struct job_file *job, int64_t ranks, int64_t cores);

const char *job_kind_name(enum job_kind kind);
const char *job_recipe_name(enum job_recipe recipe);
enum job_kind job_recipe_kind(enum job_recipe recipe);
const char *device_choice_name(enum device_choice device);
const char *isa_choice_name(enum isa_choice isa);

#endif
