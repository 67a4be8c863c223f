#include "proto/profile.h"

#include "base/text.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAMED_MAX = 3 };

/* Members as people know them; others are shown as they are written. */
static const struct {
    const char *member;
    const char *shown;
} SHOWN[] = {
    {"engine", "Cambrian"}, {"isa", "instruction set"}, {"onednn", "oneDNN"}, {"sleef", "SLEEF"}};

/* Decided by the job file: the same in every attempt. */
static const char *const OF_THE_JOB[] = {"shards", "threads_per_shard"};

static const char *shown_member(const char *member)
{
    for (size_t i = 0; i < sizeof SHOWN / sizeof SHOWN[0]; i++) {
        if (strcmp(SHOWN[i].member, member) == 0) {
            return SHOWN[i].shown;
        }
    }
    return member;
}

/* A value as people read it. */
static void add_value(struct cam_text *out, const json_t *value)
{
    if (value == NULL) {
        cam_text_add(out, "none");
    } else if (json_is_string(value)) {
        cam_text_add(out, "%s", json_string_value(value));
    } else {
        char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        cam_text_add(out, "%s", text == NULL ? "?" : text);
        free(text); /* jansson's */
    }
}

static void add_difference(struct cam_text *out, const char *const who[2], const char *member,
                           const json_t *const values[2])
{
    cam_text_add(out, "%s%s ", out->size == 0 ? "" : "; ", shown_member(member));
    add_value(out, values[0]);
    cam_text_add(out, " %s, %s used ", who[0], who[1]);
    add_value(out, values[1]);
}

/* How many members differ; the first few in words. */
static int differences(const char *const who[2], json_t *ours, json_t *theirs, struct cam_text *out)
{
    int count = 0;
    const char *member = NULL;
    json_t *value = NULL;
    json_object_foreach(ours, member, value)
    {
        const json_t *const values[2] = {value, json_object_get(theirs, member)};
        if (json_equal(values[0], values[1]) == 0 && count++ < NAMED_MAX) {
            add_difference(out, who, member, values);
        }
    }
    json_object_foreach(theirs, member, value)
    {
        const json_t *const values[2] = {NULL, value};
        if (json_object_get(ours, member) == NULL && count++ < NAMED_MAX) {
            add_difference(out, who, member, values);
        }
    }
    return count;
}

static enum cam_code compare(const char *const who[2], json_t *ours, json_t *theirs,
                             struct cam_err *err)
{
    struct cam_text text = {0};
    enum cam_code rc = CAM_OK;
    int count = differences(who, ours, theirs, &text);
    if (count > 0) {
        char more[48] = "";
        if (count > NAMED_MAX) {
            (void)snprintf(more, sizeof more, "; and %d more", count - NAMED_MAX);
        }
        rc = cam_fail(err, CAM_OTHER_PROFILE, "%.900s%s",
                      cam_text_ok(&text) ? text.bytes : "the numeric profile differs", more);
    }
    cam_text_release(&text);
    return rc;
}

static enum cam_code compare_texts(const char *const who[2], const char *const texts[2],
                                   bool of_a_host, struct cam_err *err)
{
    json_error_t where = {.text = "not an object"};
    json_t *ours = json_loads(texts[0], 0, &where);
    json_t *theirs = ours == NULL ? NULL : json_loads(texts[1], 0, &where);
    for (size_t i = 0; of_a_host && i < sizeof OF_THE_JOB / sizeof OF_THE_JOB[0]; i++) {
        (void)json_object_del(ours, OF_THE_JOB[i]);
        (void)json_object_del(theirs, OF_THE_JOB[i]);
    }
    enum cam_code rc =
        !json_is_object(ours) || !json_is_object(theirs)
            ? cam_fail(err, CAM_CORRUPT, "a numeric profile is no JSON: %s", where.text)
            : compare(who, ours, theirs, err);
    json_decref(ours);
    json_decref(theirs);
    return rc;
}

enum cam_code profile_compare(const char *whose, const char *profile, const char *others,
                              const char *other, struct cam_err *err)
{
    return compare_texts((const char *const[]){whose, others},
                         (const char *const[]){profile, other}, false, err);
}

enum cam_code profile_compare_host(const char *host, const char *wanted, struct cam_err *err)
{
    return compare_texts((const char *const[]){"here", "the first attempt"},
                         (const char *const[]){host, wanted}, true, err);
}
