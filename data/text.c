/*
 * Text: a file as a row of tokens, cut into windows.  A sample is `length` tokens, its labels the
 * tokens that follow each of them.
 *
 * The first `split` of the tokens are trained on: window i starts at token i * stride.  The rest is
 * for validation, in windows side by side; what is left at the end of either, less than a window,
 * is not used.
 *
 * A token of the vocabulary `characters` is the place of a code point in the sorted row of those
 * that the file has, of `bytes` the byte itself.
 */
#include "base/mem.h"
#include "data/format.h"
#include "data/text_tokens.h"

#include <inttypes.h>
#include <string.h>

enum { VOCABULARY_MAX = 65536, BYTE_VALUES = 256 };

struct text {
    struct data_spec spec; /* its path is `path` */
    char *path;
    int64_t tokens;   /* of the file */
    int64_t split;    /* the first that is for validation */
    uint32_t *points; /* the vocabulary, sorted */
    int64_t vocabulary;
    uint16_t *encoded; /* NULL before load */
};

static enum cam_code no_memory(const char *path, struct cam_err *err)
{
    return cam_fail(err, CAM_NO_MEMORY, "data path %s: out of memory", path);
}

static const char *unit_of(const struct text *text)
{
    return text->spec.vocabulary == VOCABULARY_BYTES ? "bytes" : "characters";
}

static int64_t stride_of(const struct text *text)
{
    return text->spec.stride > 0 ? text->spec.stride : text->spec.length;
}

/* ---------------------------------------------------------------- vocabulary */

struct survey {
    int64_t tokens;
    bool *seen; /* by code point */
};

static enum cam_code look_at(void *context, const uint32_t *points, int64_t count,
                             struct cam_err *err)
{
    struct survey *survey = context;
    (void)err;
    for (int64_t i = 0; i < count; i++) {
        survey->seen[points[i]] = true;
    }
    survey->tokens += count;
    return CAM_OK;
}

static enum cam_code keep_vocabulary(struct text *text, struct survey *survey, struct cam_err *err)
{
    if (text->spec.vocabulary == VOCABULARY_BYTES) {
        memset(survey->seen, 1, BYTE_VALUES * sizeof *survey->seen);
    }
    for (int64_t point = 0; point < CODE_POINTS; point++) {
        text->vocabulary += survey->seen[point] ? 1 : 0;
    }
    if (text->vocabulary > VOCABULARY_MAX) {
        return cam_fail(err, CAM_INVALID,
                        "data path %s: %" PRId64 " different characters, at most %d are allowed",
                        text->path, text->vocabulary, VOCABULARY_MAX);
    }
    text->points = cam_alloc((size_t)text->vocabulary + 1, sizeof *text->points);
    if (text->points == NULL) {
        return no_memory(text->path, err);
    }
    int64_t at = 0;
    for (uint32_t point = 0; point < CODE_POINTS; point++) {
        if (survey->seen[point]) {
            text->points[at++] = point;
        }
    }
    return CAM_OK;
}

static enum cam_code survey_file(struct text *text, struct cam_err *err)
{
    struct survey survey = {.seen = cam_alloc(CODE_POINTS, sizeof *survey.seen)};
    if (survey.seen == NULL) {
        return no_memory(text->path, err);
    }
    enum cam_code rc = text_tokens_read(text->path, text->spec.vocabulary, look_at, &survey, err);
    text->tokens = survey.tokens;
    rc = rc == CAM_OK ? keep_vocabulary(text, &survey, err) : rc;
    cam_free(survey.seen);
    return rc;
}

/* ---------------------------------------------------------------- windows */

/* Windows in `tokens` of them: each needs one more than its length. */
static int64_t windows_in(const struct text *text, int64_t tokens, int64_t stride)
{
    return tokens > text->spec.length ? (tokens - text->spec.length - 1) / stride + 1 : 0;
}

static enum cam_code cut(struct text *text, struct source_info *info, struct cam_err *err)
{
    const struct data_spec *spec = &text->spec;
    text->split = (int64_t)((double)text->tokens * spec->split);
    int64_t rest = text->tokens - text->split;
    *info = (struct source_info){
        .count = windows_in(text, text->split, stride_of(text)),
        .validation_count = windows_in(text, rest, spec->length),
        .classes = text->vocabulary,
        .length = spec->length,
        .set_bytes = text->tokens * (int64_t)sizeof *text->encoded,
    };
    if (text->tokens == 0) {
        return cam_fail(err, CAM_INVALID,
                        "data path %s: is empty, data.length %" PRId64 " needs at least %" PRId64
                        " %s",
                        text->path, spec->length, spec->length + 1, unit_of(text));
    }
    if (info->count == 0) {
        return cam_fail(err, CAM_INVALID,
                        "data path %s: %" PRId64 " %s to train on, data.length %" PRId64
                        " needs at least %" PRId64,
                        text->path, text->split, unit_of(text), spec->length, spec->length + 1);
    }
    if (rest > 0 && info->validation_count == 0) {
        return cam_fail(
            err, CAM_INVALID,
            "data path %s: data.split %g leaves %" PRId64 " %s for validation, data.length %" PRId64
            " needs at least %" PRId64 " (data.split 1: no validation)",
            text->path, spec->split, rest, unit_of(text), spec->length, spec->length + 1);
    }
    return CAM_OK;
}

static void text_close(void *state)
{
    struct text *text = state;
    if (text != NULL) {
        cam_free(text->path);
        cam_free(text->points);
        cam_free(text->encoded);
        cam_free(text);
    }
}

static enum cam_code text_open(const struct data_spec *spec, void **state_out,
                               struct source_info *info, const char **role_out, struct cam_err *err)
{
    struct text *text = cam_alloc(1, sizeof *text);
    if (text == NULL || (text->path = cam_strdup(spec->path)) == NULL) {
        text_close(text);
        return no_memory(spec->path, err);
    }
    text->spec = *spec;
    *role_out = "path";
    enum cam_code rc = survey_file(text, err);
    rc = rc == CAM_OK ? cut(text, info, err) : rc;
    if (rc != CAM_OK) {
        text_close(text);
        return rc;
    }
    *state_out = text;
    return CAM_OK;
}

/* ---------------------------------------------------------------- samples */

struct encoding {
    struct text *text;
    const uint16_t *token_of; /* by code point */
    int64_t count;
};

static enum cam_code changed(const struct text *text, struct cam_err *err)
{
    return cam_fail(err, CAM_CHANGED, "data path %s: changed while it was being read", text->path);
}

static enum cam_code encode(void *context, const uint32_t *points, int64_t count,
                            struct cam_err *err)
{
    struct encoding *encoding = context;
    struct text *text = encoding->text;
    if (encoding->count + count > text->tokens) {
        return changed(text, err);
    }
    for (int64_t i = 0; i < count; i++) {
        uint16_t token = encoding->token_of[points[i]];
        if (text->points[token] != points[i]) {
            return changed(text, err);
        }
        text->encoded[encoding->count++] = token;
    }
    return CAM_OK;
}

static enum cam_code text_load(void *state, struct cam_err *err)
{
    struct text *text = state;
    uint16_t *token_of = cam_alloc(CODE_POINTS, sizeof *token_of);
    text->encoded = cam_alloc((size_t)text->tokens, sizeof *text->encoded);
    if (token_of == NULL || text->encoded == NULL) {
        cam_free(token_of);
        return no_memory(text->path, err);
    }
    for (int64_t i = 0; i < text->vocabulary; i++) {
        token_of[text->points[i]] = (uint16_t)i;
    }
    struct encoding encoding = {.text = text, .token_of = token_of};
    enum cam_code rc = text_tokens_read(text->path, text->spec.vocabulary, encode, &encoding, err);
    if (rc == CAM_OK && encoding.count != text->tokens) {
        rc = changed(text, err);
    }
    cam_free(token_of);
    return rc;
}

static void text_read(const void *state, int64_t index, float *values, float *labels)
{
    const struct text *text = state;
    int64_t length = text->spec.length;
    int64_t windows = windows_in(text, text->split, stride_of(text));
    int64_t start =
        index < windows ? index * stride_of(text) : text->split + (index - windows) * length;
    for (int64_t i = 0; i < length; i++) {
        values[i] = (float)text->encoded[start + i];
        labels[i] = (float)text->encoded[start + i + 1];
    }
}

static int text_files(const struct data_spec *spec, struct format_file out[FORMAT_FILES_MAX])
{
    out[0] = (struct format_file){.role = "path", .path = spec->path};
    return 1;
}

static json_t *text_describe(const struct data_spec *spec)
{
    (void)spec;
    return json_pack("{s:s}", "format", "text");
}

static json_t *text_vocabulary(const void *state)
{
    const struct text *text = state;
    if (text->spec.vocabulary == VOCABULARY_BYTES) {
        return json_pack("{s:s, s:i}", "kind", "bytes", "size", BYTE_VALUES);
    }
    json_t *tokens = json_array();
    for (int64_t i = 0; i < text->vocabulary; i++) {
        char bytes[5];
        int size = text_tokens_utf8(text->points[i], bytes);
        (void)json_array_append_new(tokens, json_stringn(bytes, (size_t)size));
    }
    return json_pack("{s:s, s:o}", "kind", "characters", "tokens", tokens);
}

const struct source_format TEXT_FORMAT = {
    .name = "text",
    .open = text_open,
    .load = text_load,
    .load_role = "path",
    .read = text_read,
    .close = text_close,
    .files = text_files,
    .describe = text_describe,
    .vocabulary = text_vocabulary,
};
