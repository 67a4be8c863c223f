#include "proto/jobfile.h"

#include "base/text.h"
#include "proto/jobfile_guard.h"
#include "proto/jobfile_keys.h"
#include "proto/jobfile_model.h"
#include "proto/jobfile_value.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    SECTION_KEYS_MAX = 64,
    FORMATS_SIZE = 64,
    DEFAULT_SHARDS_MAX = 8,
    DEFAULT_SHARD_SAMPLES = 16
};

enum cam_code jobfile_fail(const struct job_file *job, const char *path, struct cam_err *err,
                           const char *format, ...)
{
    char text[sizeof err->text];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return doc_fail(job->file_name, doc_line(job->root, path), err, "%s", text);
}

void jobfile_place(const struct job_file *job, const char *path, struct cam_err *err)
{
    if (err != NULL) {
        struct cam_err plain = *err;
        (void)doc_fail(job->file_name, doc_line(job->root, path), err, "%s", plain.text);
        err->code = plain.code;
    }
}

/* The node of "a.b", or NULL. */
static const struct doc_node *node_at(const struct doc_node *root, const char *path)
{
    const char *dot = strchr(path, '.');
    if (dot == NULL) {
        return doc_get(root, path);
    }
    char section[32];
    (void)snprintf(section, sizeof section, "%.*s", (int)(dot - path), path);
    return node_at(doc_get(root, section), dot + 1);
}

/* `data: glyphs` becomes `data: {format: glyphs}`, so that --set and all that follows see one
 * form. */
static enum cam_code expand_data(const struct reading *r, struct doc_node *root,
                                 struct cam_err *err)
{
    for (size_t i = 0; root->kind == DOC_MAP && i < root->count; i++) {
        struct doc_node *data = root->items[i];
        if (strcmp(root->keys[i], "data") != 0 || data->kind != DOC_SCALAR || !doc_given(data)) {
            continue;
        }
        struct doc_node *map = cam_arena_alloc(r->arena, 1, sizeof *map);
        struct doc_node **items = cam_arena_alloc(r->arena, 1, sizeof(struct doc_node *));
        const char **keys = cam_arena_alloc(r->arena, 1, sizeof *keys);
        int *key_lines = cam_arena_alloc(r->arena, 1, sizeof *key_lines);
        if (map == NULL || items == NULL || keys == NULL || key_lines == NULL) {
            return cam_fail(err, CAM_NO_MEMORY, "%s: out of memory while reading it",
                            r->job->file_name);
        }
        items[0] = data;
        keys[0] = "format";
        key_lines[0] = root->key_lines[i];
        *map = (struct doc_node){.kind = DOC_MAP,
                                 .line = data->line,
                                 .file_name = data->file_name,
                                 .count = 1,
                                 .items = items,
                                 .keys = keys,
                                 .key_lines = key_lines};
        root->items[i] = map;
    }
    return CAM_OK;
}

static enum cam_code check_keys(const struct reading *r, struct cam_err *err)
{
    size_t section_count = 0;
    size_t key_count = 0;
    const struct job_section *sections = jobfile_sections(&section_count);
    const struct job_key *keys = jobfile_keys(&key_count);
    enum cam_code rc = CAM_OK;
    for (size_t s = 0; rc == CAM_OK && s < section_count; s++) {
        const char *section = sections[s].path;
        const char *names[SECTION_KEYS_MAX];
        size_t count = 0;
        for (size_t i = 0; i < key_count && count < SECTION_KEYS_MAX; i++) {
            const char *name = jobfile_key_in(&keys[i], section);
            if (name != NULL) {
                names[count++] = name;
            }
        }
        for (size_t i = 1; i < section_count && count < SECTION_KEYS_MAX; i++) {
            const char *name = jobfile_section_in(&sections[i], section);
            if (name != NULL) {
                names[count++] = name;
            }
        }
        const struct doc_node *map =
            section[0] == '\0' ? r->job->root : node_at(r->job->root, section);
        rc = doc_check_keys(map, section[0] == '\0' ? "the job file" : section, names, count, err);
    }
    return rc;
}

/* Keys that another data format has, and those that this one needs. */
static enum cam_code check_format_keys(const struct reading *r, struct cam_err *err)
{
    size_t count = 0;
    const struct job_key *keys = jobfile_keys(&count);
    const char *format = jobfile_key("data.format")->choices[r->job->data.format];
    for (size_t i = 0; i < count; i++) {
        if (keys[i].formats == 0) {
            continue;
        }
        char formats[FORMATS_SIZE];
        bool mine = jobfile_key_of_format(&keys[i], r->job->data.format);
        bool given = node_at(r->job->root, keys[i].path) != NULL;
        if (mine && keys[i].needed_by_format && !given) {
            return jobfile_fail(r->job, "data", err, "%s is missing, data.format %s needs it",
                                keys[i].path, format);
        }
        if (!mine && given) {
            jobfile_key_formats(&keys[i], formats, sizeof formats);
            return jobfile_fail(r->job, keys[i].path, err,
                                "%s with data.format %s, it belongs to %s only", keys[i].path,
                                format, formats);
        }
    }
    return CAM_OK;
}

/* Which recipe it is, and the keys that another kind has, and those that this one needs. */
static enum cam_code check_kind(const struct reading *r, struct cam_err *err)
{
    struct job_file *job = r->job;
    const char *kind = job_kind_name(job->kind);
    if (doc_get(job->root, "recipe") == NULL) {
        job->recipe = RECIPE_GAN;
    }
    if (job_recipe_kind(job->recipe) != job->kind) {
        struct cam_text allowed = {0};
        for (int i = 0; i < RECIPE_COUNT; i++) {
            if (job_recipe_kind((enum job_recipe)i) == job->kind) {
                cam_text_add(&allowed, "%s%s", allowed.size > 0 ? ", " : "",
                             job_recipe_name((enum job_recipe)i));
            }
        }
        const char *names = allowed.bytes != NULL ? allowed.bytes : "";
        enum cam_code rc =
            doc_get(job->root, "recipe") == NULL
                ? jobfile_fail(job, "kind", err, "recipe is missing, kind %s needs it: %s", kind,
                               names)
                : jobfile_fail(job, "recipe", err,
                               "recipe %s with kind %s, it belongs to %s; allowed: %s",
                               job_recipe_name(job->recipe), kind,
                               job_kind_name(job_recipe_kind(job->recipe)), names);
        cam_text_release(&allowed);
        return rc;
    }
    size_t count = 0;
    const struct job_key *keys = jobfile_keys(&count);
    for (size_t i = 0; i < count; i++) {
        bool mine = keys[i].kinds == 0 || (keys[i].kinds & KEY_KIND(job->kind)) != 0;
        bool given = node_at(job->root, keys[i].path) != NULL;
        if (mine && keys[i].needed_by_kind && !given) {
            return jobfile_fail(job, "model", err, "%s is missing, kind %s needs it", keys[i].path,
                                kind);
        }
        if (!mine && given) {
            return jobfile_fail(job, keys[i].path, err, "%s with kind %s, which has no use for it",
                                keys[i].path, kind);
        }
    }
    return CAM_OK;
}

/* What one key says of another, or what a range does not say. */
static enum cam_code check_values(const struct reading *r, struct cam_err *err)
{
    const struct data_spec *data = &r->job->data;
    if (r->job->train.label_smoothing >= 1) {
        return jobfile_fail(r->job, "train.label_smoothing", err,
                            "train.label_smoothing is 1, which leaves nothing of the labels; less "
                            "is expected");
    }
    if ((data->validation_images == NULL) != (data->validation_labels == NULL)) {
        return jobfile_fail(r->job, "data.validation", err,
                            "data.validation needs both images and labels");
    }
    if (data->validation_fraction > 0 && data->validation_images != NULL) {
        return jobfile_fail(r->job, "data.validation_fraction", err,
                            "data.validation_fraction beside data.validation, one of them is "
                            "expected");
    }
    if (data->validation_fraction > 0 && data->format == DATA_TEXT) {
        return jobfile_fail(r->job, "data.validation_fraction", err,
                            "data.validation_fraction with data.format text, which has data.split");
    }
    return CAM_OK;
}

/* Names the section where all of it is missing. */
static enum cam_code fail_missing(const struct reading *r, const char *path, struct cam_err *err)
{
    char section[32];
    size_t length = strcspn(path, ".");
    (void)snprintf(section, sizeof section, "%.*s", (int)length, path);
    bool whole = doc_get(r->job->root, section) == NULL;
    return jobfile_fail(r->job, path, err, "%s is missing, every job file has it",
                        whole ? section : path);
}

static enum cam_code read_keys(const struct reading *r, struct cam_err *err)
{
    size_t count = 0;
    const struct job_key *keys = jobfile_keys(&count);
    enum cam_code rc = CAM_OK;
    for (size_t i = 0; rc == CAM_OK && i < count; i++) {
        const struct job_key *key = &keys[i];
        const struct doc_node *node = node_at(r->job->root, key->path);
        if (node == NULL && key->required) {
            return fail_missing(r, key->path, err);
        }
        struct doc_node fallback = {.kind = DOC_SCALAR, .text = key->fallback};
        if (node == NULL && key->fallback != NULL) {
            node = &fallback;
        }
        if (node != NULL) {
            rc = jobfile_read_value(r, key, node, err);
        }
    }
    return rc;
}

/* ENGINE.md: never derived from ranks or cores, since it makes the weights. */
static int64_t default_shards(int64_t batch)
{
    for (int64_t shards = DEFAULT_SHARDS_MAX; shards > 1; shards--) {
        if (batch % shards == 0 && batch / shards >= DEFAULT_SHARD_SAMPLES) {
            return shards;
        }
    }
    return 1;
}

/* "1, 2, 4, 8, …": the first divisors of a batch that a person may pick from. */
static void add_divisors(struct cam_text *text, int64_t batch, int64_t most)
{
    enum { SHOWN_MAX = 12 };
    int shown = 0;
    for (int64_t d = 1; d <= batch && d <= most; d++) {
        if (batch % d == 0) {
            if (shown++ == SHOWN_MAX) {
                cam_text_add(text, ", …");
                return;
            }
            cam_text_add(text, "%s%" PRId64, shown == 1 ? "" : ", ", d);
        }
    }
}

static enum cam_code check_shards(const struct reading *r, struct cam_err *err)
{
    struct job_file *job = r->job;
    bool given = job->train.shards != 0;
    if (!given) {
        job->train.shards = default_shards(job->train.batch);
    }
    int64_t shards = job->train.shards;
    if (job->train.batch % shards != 0) {
        struct cam_text allowed = {0};
        add_divisors(&allowed, job->train.batch, jobfile_key("train.shards")->most);
        enum cam_code rc = jobfile_fail(
            job, "train.shards", err,
            "train.shards is %" PRId64 ", which does not divide train.batch %" PRId64
            "; allowed: %s",
            shards, job->train.batch, allowed.bytes != NULL ? allowed.bytes : "its divisors");
        cam_text_release(&allowed);
        return rc;
    }
    if (job->resources.ranks_max > shards) {
        return jobfile_fail(job, "resources.ranks", err,
                            "resources.ranks is %" PRId64 ", at most train.shards %" PRId64
                            " are allowed%s",
                            job->resources.ranks_max, shards,
                            given ? "" : " (derived from train.batch; set train.shards)");
    }
    return CAM_OK;
}

static enum cam_code read_tree(const struct reading *r, struct cam_err *err)
{
    char found[80];
    const struct doc_node *root = r->job->root;
    if (root->kind != DOC_MAP) {
        return doc_fail(r->job->file_name, root->line, err,
                        "the job file is %s, keys such as name: and kind: are expected",
                        doc_describe(root, found, sizeof found));
    }
    enum cam_code rc = check_keys(r, err);
    if (rc == CAM_OK) {
        rc = read_keys(r, err);
    }
    if (rc == CAM_OK) {
        rc = check_kind(r, err);
    }
    if (rc == CAM_OK) {
        rc = check_format_keys(r, err);
    }
    if (rc == CAM_OK) {
        rc = check_values(r, err);
    }
    if (rc == CAM_OK) {
        rc = jobfile_read_parts(r, err);
    }
    if (rc == CAM_OK) {
        rc = jobfile_read_optimizers(r, err);
    }
    if (rc == CAM_OK) {
        rc = jobfile_read_guard(r, err);
    }
    return rc == CAM_OK ? check_shards(r, err) : rc;
}

/* What comes beside the job's text is kept as JSON, which holds UTF-8 alone; YAML sees to itself.
 */
static enum cam_code check_utf8(const struct job_text *text, struct cam_err *err)
{
    if (!cam_utf8_ok(text->file_name)) {
        return cam_fail(err, CAM_INVALID, "the job file's name '%s' is not UTF-8: rename it",
                        text->file_name);
    }
    if (!cam_utf8_ok(text->base_dir)) {
        return cam_fail(err, CAM_INVALID,
                        "%s: its folder '%s' is not UTF-8, which paths of jobs must be",
                        text->file_name, text->base_dir);
    }
    for (size_t i = 0; i < text->set_count; i++) {
        if (!cam_utf8_ok(text->set[i])) {
            return cam_fail(err, CAM_INVALID, "--set '%s' is not UTF-8", text->set[i]);
        }
    }
    return CAM_OK;
}

enum cam_code jobfile_parse(const struct job_text *text, struct cam_arena *arena,
                            struct job_file *out, struct cam_err *err)
{
    *out = (struct job_file){.file_name = cam_arena_strdup(arena, text->file_name),
                             .base_dir = cam_arena_strdup(arena, text->base_dir)};
    struct reading r = {.job = out, .arena = arena};
    if (out->file_name == NULL || out->base_dir == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "%s: out of memory while reading it", text->file_name);
    }
    if (text->base_dir[0] != '/') {
        return cam_fail(err, CAM_INVALID, "%s: base folder '%s', an absolute path is expected",
                        text->file_name, text->base_dir);
    }
    enum cam_code form = check_utf8(text, err);
    if (form != CAM_OK) {
        return form;
    }
    if (text->size > JOBFILE_BYTES_MAX) {
        return doc_fail(text->file_name, 1, err, "%zu bytes, a job file has at most %d", text->size,
                        JOBFILE_BYTES_MAX);
    }
    struct doc_node *root = NULL;
    enum cam_code rc = document_parse(out->file_name, text->text, text->size, arena, &root, err);
    if (rc == CAM_OK) {
        rc = expand_data(&r, root, err);
    }
    for (size_t i = 0; rc == CAM_OK && i < text->set_count; i++) {
        rc = document_set(root, text->set[i], arena, err);
    }
    if (rc == CAM_OK) {
        rc = expand_data(&r, root, err);
    }
    out->root = root;
    return rc == CAM_OK ? read_tree(&r, err) : rc;
}

const struct part_spec *jobfile_part(const struct job_file *job, const char *name)
{
    for (int i = 0; i < job->part_count; i++) {
        if (strcmp(job->parts[i].name, name) == 0) {
            return &job->parts[i];
        }
    }
    return NULL;
}

const struct optimizer_spec *jobfile_optimizer(const struct job_file *job, const char *part)
{
    for (int i = 0; i < job->optimizer_count; i++) {
        if (strcmp(job->optimizers[i].part, part) == 0) {
            return &job->optimizers[i];
        }
    }
    return NULL;
}

int64_t jobfile_lanes(const struct job_file *job, int64_t ranks, int64_t cores)
{
    int64_t shards_a_rank = (job->train.shards + ranks - 1) / ranks;
    int64_t lanes = cores / ranks / job->train.threads_per_shard;
    lanes = lanes > shards_a_rank ? shards_a_rank : lanes;
    return lanes < 1 ? 1 : lanes;
}
