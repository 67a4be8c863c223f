#include "proto/jobfile_value.h"

#include "base/file.h"
#include "base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FOUND_SIZE = 80, EXPECTED_SIZE = 256 };

enum cam_code jobfile_unexpected(const struct reading *r, const char *path,
                                 const struct doc_node *node, const char *expected,
                                 struct cam_err *err)
{
    char found[FOUND_SIZE];
    return jobfile_fail(r->job, path, err, "%s is %s, %s", path,
                        doc_describe(node, found, sizeof found), expected);
}

static enum cam_code no_memory(const struct reading *r, struct cam_err *err)
{
    return cam_fail(err, CAM_NO_MEMORY, "%s: out of memory while reading it", r->job->file_name);
}

static void *slot_of(const struct reading *r, const struct job_key *key)
{
    return (char *)r->job + key->offset;
}

static const char *scalar_text(const struct doc_node *node)
{
    bool text = node->kind == DOC_SCALAR && doc_given(node) && node->text[0] != '\0';
    return text ? node->text : NULL;
}

bool jobfile_is_name(const char *text)
{
    const char *letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
    bool digit = text[0] >= '0' && text[0] <= '9';
    return text[0] != '\0' && !digit && text[strspn(text, letters)] == '\0';
}

static enum cam_code read_text(const struct reading *r, const struct job_key *key,
                               const struct doc_node *node, struct cam_err *err)
{
    const char *text = scalar_text(node);
    bool printable = text != NULL;
    for (const char *c = text; printable && *c != '\0'; c++) {
        printable = (unsigned char)*c >= ' ' && *c != 127;
    }
    if (!printable || strlen(text) > (size_t)key->most) {
        char expected[EXPECTED_SIZE];
        (void)snprintf(expected, sizeof expected,
                       "a line of 1 to %" PRId64 " bytes of text is expected", key->most);
        return jobfile_unexpected(r, key->path, node, expected, err);
    }
    memcpy(slot_of(r, key), &text, sizeof text);
    return CAM_OK;
}

static enum cam_code read_file(const struct reading *r, const struct job_key *key,
                               const struct doc_node *node, struct cam_err *err)
{
    const char *text = scalar_text(node);
    if (text == NULL) {
        return jobfile_unexpected(r, key->path, node, "the path of a file is expected", err);
    }
    const char *path =
        text[0] == '/' ? text : cam_arena_printf(r->arena, "%s/%s", r->job->base_dir, text);
    if (path == NULL) {
        return no_memory(r, err);
    }
    if (strlen(path) >= CAM_PATH_SIZE) {
        return jobfile_unexpected(r, key->path, node, "the path is longer than a path may be", err);
    }
    memcpy(slot_of(r, key), &path, sizeof path);
    return CAM_OK;
}

/* "a whole number from 1 to 8 is expected", without the end that nobody meets. */
static void say_range(const struct job_key *key, char *out, size_t size)
{
    if (key->most == INT64_MAX) {
        (void)snprintf(out, size, "a whole number of at least %" PRId64 " is expected", key->least);
    } else {
        (void)snprintf(out, size, "a whole number from %" PRId64 " to %" PRId64 " is expected",
                       key->least, key->most);
    }
}

static enum cam_code read_int(const struct reading *r, const struct job_key *key,
                              const struct doc_node *node, struct cam_err *err)
{
    int64_t value = 0;
    if (!doc_int(node, &value) || value < key->least || value > key->most) {
        char expected[EXPECTED_SIZE];
        say_range(key, expected, sizeof expected);
        return jobfile_unexpected(r, key->path, node, expected, err);
    }
    memcpy(slot_of(r, key), &value, sizeof value);
    return CAM_OK;
}

static enum cam_code read_real(const struct reading *r, const struct job_key *key,
                               const struct doc_node *node, struct cam_err *err)
{
    double value = 0;
    if (!doc_real(node, &value) || value < (double)key->least || value > (double)key->most) {
        char expected[EXPECTED_SIZE];
        (void)snprintf(expected, sizeof expected,
                       "a number from %" PRId64 " to %" PRId64 " is expected", key->least,
                       key->most);
        return jobfile_unexpected(r, key->path, node, expected, err);
    }
    memcpy(slot_of(r, key), &value, sizeof value);
    return CAM_OK;
}

static enum cam_code read_choice(const struct reading *r, const struct job_key *key,
                                 const struct doc_node *node, struct cam_err *err)
{
    const char *text = scalar_text(node);
    size_t count = jobfile_choice_count(key);
    for (size_t i = 0; text != NULL && i < count; i++) {
        if (strcmp(key->choices[i], text) == 0) {
            int value = (int)i;
            if (key->offset != KEY_STORED_ELSEWHERE) {
                memcpy(slot_of(r, key), &value, sizeof value);
            }
            return CAM_OK;
        }
    }
    const char *near = text != NULL ? cam_nearest(text, key->choices, count) : NULL;
    struct cam_text expected = {0};
    if (near != NULL) {
        cam_text_add(&expected, "did you mean '%s'? ", near);
    }
    for (size_t i = 0; i < count; i++) {
        cam_text_add(&expected, "%s%s", i == 0 ? "allowed: " : ", ", key->choices[i]);
    }
    enum cam_code rc = jobfile_unexpected(
        r, key->path, node, expected.bytes != NULL ? expected.bytes : "another is allowed", err);
    cam_text_release(&expected);
    return rc;
}

/* Leading digits as a number; the rest in *rest_out.  False without digits or when too large. */
static bool leading_number(const char *text, int64_t *out, const char **rest_out)
{
    size_t digits = strspn(text, "0123456789");
    errno = 0;
    long long value = strtoll(text, NULL, 10);
    if (digits == 0 || errno != 0) {
        return false;
    }
    *out = value;
    *rest_out = text + digits + strspn(text + digits, " ");
    return true;
}

struct unit {
    const char *name;
    int64_t scale;
};

static bool scale_by(const struct unit *units, size_t count, const char *name, int64_t number,
                     int64_t *out)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(units[i].name, name) == 0) {
            return !__builtin_mul_overflow(number, units[i].scale, out);
        }
    }
    return false;
}

bool jobfile_duration(const char *text, int64_t *ms_out)
{
    static const struct unit UNITS[] = {
        {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    int64_t number = 0;
    const char *unit = NULL;
    return leading_number(text, &number, &unit) &&
           scale_by(UNITS, sizeof UNITS / sizeof UNITS[0], unit, number, ms_out);
}

static enum cam_code read_duration(const struct reading *r, const struct job_key *key,
                                   const struct doc_node *node, struct cam_err *err)
{
    const char *text = scalar_text(node);
    int64_t ms = 0;
    if (text == NULL || !jobfile_duration(text, &ms) || ms < key->least || ms > key->most) {
        char expected[EXPECTED_SIZE];
        (void)snprintf(expected, sizeof expected,
                       "a number with a unit (ms, s, m, h, d) is expected, such as 30s, "
                       "at most %" PRId64 "d",
                       key->most / 86400000);
        return jobfile_unexpected(r, key->path, node, expected, err);
    }
    memcpy(slot_of(r, key), &ms, sizeof ms);
    return CAM_OK;
}

static enum cam_code read_interval(const struct reading *r, const struct job_key *key,
                                   const struct doc_node *node, struct cam_err *err)
{
    static const struct unit STEPS[] = {{"step", 1}, {"steps", 1}};
    static const struct unit EPOCHS[] = {{"epoch", 1}, {"epochs", 1}};
    const char *text = scalar_text(node);
    const char *unit = NULL;
    int64_t number = 0;
    struct interval value = {0};
    bool good = text != NULL && leading_number(text, &number, &unit);
    if (good && scale_by(STEPS, 2, unit, number, &value.count)) {
        value.unit = INTERVAL_STEPS;
    } else if (good && scale_by(EPOCHS, 2, unit, number, &value.count)) {
        value.unit = INTERVAL_EPOCHS;
    } else if (good && jobfile_duration(text, &value.count)) {
        value.unit = INTERVAL_TIME;
    } else {
        good = false;
    }
    if (!good || value.count < key->least || value.count > key->most) {
        return jobfile_unexpected(r, key->path, node,
                                  "steps, epochs or a time are expected, such as 10 steps, "
                                  "1 epoch, 5m",
                                  err);
    }
    memcpy(slot_of(r, key), &value, sizeof value);
    return CAM_OK;
}

static enum cam_code read_ranks(const struct reading *r, const struct job_key *key,
                                const struct doc_node *node, struct cam_err *err)
{
    const char *text = scalar_text(node);
    const char *rest = NULL;
    int64_t ranks[2] = {0, 0};
    bool good = text != NULL && !node->quoted && leading_number(text, &ranks[0], &rest);
    if (good && rest[0] == '\0') {
        ranks[1] = ranks[0];
    } else if (good) {
        rest += strncmp(rest, "..", 2) == 0 ? 2 + strspn(rest + 2, " ") : 0;
        good = leading_number(rest, &ranks[1], &rest) && rest[0] == '\0';
    }
    if (!good || ranks[0] < key->least || ranks[1] > key->most || ranks[0] > ranks[1]) {
        char expected[EXPECTED_SIZE];
        (void)snprintf(expected, sizeof expected,
                       "a whole number from %" PRId64 " to %" PRId64
                       " or a range such as 1..4 is expected",
                       key->least, key->most);
        return jobfile_unexpected(r, key->path, node, expected, err);
    }
    memcpy(slot_of(r, key), ranks, sizeof ranks);
    return CAM_OK;
}

/* What the launcher makes itself, and drops from every environment it is given. */
static const char *reserved_prefix(const char *name)
{
    static const char *const RESERVED[] = {"OMPI_", "PMIX_", "PRTE_", "SLURM_"};
    for (size_t i = 0; i < sizeof RESERVED / sizeof RESERVED[0]; i++) {
        if (strncmp(name, RESERVED[i], strlen(RESERVED[i])) == 0) {
            return RESERVED[i];
        }
    }
    return NULL;
}

static enum cam_code read_env(const struct reading *r, const struct job_key *key,
                              const struct doc_node *node, struct cam_err *err)
{
    const char *expected = "a map of names and texts is expected";
    if (node->kind != DOC_MAP) {
        return jobfile_unexpected(r, key->path, node, expected, err);
    }
    struct env_pair *pairs = cam_arena_alloc(r->arena, node->count + 1, sizeof *pairs);
    if (pairs == NULL) {
        return no_memory(r, err);
    }
    for (size_t i = 0; i < node->count; i++) {
        const char *name = node->keys[i];
        const struct doc_node *value = node->items[i];
        char found[FOUND_SIZE];
        if (!jobfile_is_name(name)) {
            return doc_fail(r->job->file_name, node->key_lines[i], err,
                            "'%s' is no name for an environment variable, letters, digits and _ "
                            "are allowed",
                            name);
        }
        if (reserved_prefix(name) != NULL) {
            return doc_fail(r->job->file_name, node->key_lines[i], err,
                            "env.%s is set by the launcher, names that begin with %s are not "
                            "allowed",
                            name, reserved_prefix(name));
        }
        if (value->kind != DOC_SCALAR) {
            return doc_fail(r->job->file_name, node->key_lines[i], err,
                            "env.%s is %s, a text is expected", name,
                            doc_describe(value, found, sizeof found));
        }
        pairs[i] = (struct env_pair){.name = name, .value = value->text};
    }
    r->job->env = pairs;
    r->job->env_count = (int)node->count;
    return CAM_OK;
}

enum cam_code jobfile_read_typed(const struct reading *r, const struct doc_node *node, int line,
                                 const struct typed_words *words, struct typed_spec *out,
                                 struct cam_err *err)
{
    char found[FOUND_SIZE];
    *out = (struct typed_spec){.line = line};
    if (node->kind == DOC_SCALAR && doc_given(node)) {
        out->type = node->text;
    } else if (node->kind == DOC_MAP && node->count == 1) {
        out->type = node->keys[0];
        out->line = node->key_lines[0];
        out->attributes = doc_given(node->items[0]) ? node->items[0] : NULL;
    } else {
        return doc_fail(r->job->file_name, line, err, "%s is %s%s, one such as %s is expected",
                        words->what, doc_describe(node, found, sizeof found),
                        node->kind == DOC_MAP ? " of several keys" : "", words->example);
    }
    if (out->attributes != NULL && out->attributes->kind != DOC_MAP) {
        return doc_fail(r->job->file_name, out->line, err, "%s is %s, a map such as %s is expected",
                        out->type, doc_describe(out->attributes, found, sizeof found),
                        words->example);
    }
    return CAM_OK;
}

static enum cam_code read_typed(const struct reading *r, const struct job_key *key,
                                const struct doc_node *node, struct cam_err *err)
{
    const struct typed_words words = {key->path, "NAME or {NAME: {option: value}}"};
    return jobfile_read_typed(r, node, doc_line(r->job->root, key->path), &words, slot_of(r, key),
                              err);
}

static enum cam_code read_typed_list(const struct reading *r, const struct job_key *key,
                                     const struct doc_node *node, struct cam_err *err)
{
    const struct typed_words words = {key->path, "- NAME or - {NAME: {option: value}}"};
    struct typed_list *list = slot_of(r, key);
    if (node->kind != DOC_LIST) {
        return jobfile_unexpected(r, key->path, node, "a list is expected", err);
    }
    struct typed_spec *items = cam_arena_alloc(r->arena, node->count + 1, sizeof *items);
    if (items == NULL) {
        return no_memory(r, err);
    }
    for (size_t i = 0; i < node->count; i++) {
        const struct doc_node *item = node->items[i];
        enum cam_code rc = jobfile_read_typed(r, item, item->line, &words, &items[i], err);
        if (rc != CAM_OK) {
            return rc;
        }
    }
    *list = (struct typed_list){items, (int)node->count};
    return CAM_OK;
}

static enum cam_code read_map(const struct reading *r, const struct job_key *key,
                              const struct doc_node *node, struct cam_err *err)
{
    if (node->kind != DOC_MAP) {
        return jobfile_unexpected(r, key->path, node, "a map is expected", err);
    }
    memcpy(slot_of(r, key), &node, sizeof node);
    return doc_check_keys(node, key->path, key->choices, jobfile_choice_count(key), err);
}

static enum cam_code read_bool(const struct reading *r, const struct job_key *key,
                               const struct doc_node *node, struct cam_err *err)
{
    return doc_bool(node, slot_of(r, key))
               ? CAM_OK
               : jobfile_unexpected(r, key->path, node, "true or false is expected", err);
}

typedef enum cam_code value_reader(const struct reading *r, const struct job_key *key,
                                   const struct doc_node *node, struct cam_err *err);

static value_reader *const READERS[] = {
    [KEY_TEXT] = read_text,         [KEY_FILE] = read_file,     [KEY_INT] = read_int,
    [KEY_REAL] = read_real,         [KEY_CHOICE] = read_choice, [KEY_DURATION] = read_duration,
    [KEY_INTERVAL] = read_interval, [KEY_RANKS] = read_ranks,   [KEY_PART] = NULL,
    [KEY_OPTIMIZER] = NULL,         [KEY_ENV] = read_env,
    [KEY_TYPED] = read_typed,       [KEY_TYPED_LIST] = read_typed_list,
    [KEY_MAP] = read_map,           [KEY_BOOL] = read_bool,
};
_Static_assert(sizeof READERS / sizeof READERS[0] == KEY_TYPE_COUNT, "every type needs a row");

enum cam_code jobfile_read_value(const struct reading *r, const struct job_key *key,
                                 const struct doc_node *node, struct cam_err *err)
{
    value_reader *read = READERS[key->type];
    return read != NULL ? read(r, key, node, err) : CAM_OK;
}
