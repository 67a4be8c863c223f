#include "base/text.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Makes room for extra bytes and a terminator. */
static bool reserve(struct cam_text *text, size_t extra)
{
    enum { CAPACITY_AT_START = 128 };
    if (text->failed) {
        return false;
    }
    size_t wanted = text->size + extra + 1;
    if (wanted > text->capacity) {
        size_t capacity = text->capacity == 0 ? CAPACITY_AT_START : text->capacity * 2;
        capacity = capacity < wanted ? wanted : capacity;
        char *grown = cam_grow(text->bytes, text->capacity, capacity, 1);
        if (grown == NULL) {
            text->failed = true;
            return false;
        }
        text->bytes = grown;
        text->capacity = capacity;
    }
    return true;
}

void cam_text_add_bytes(struct cam_text *text, const void *bytes, size_t size)
{
    if (reserve(text, size)) {
        if (size > 0) {
            memcpy(text->bytes + text->size, bytes, size);
        }
        text->size += size;
        text->bytes[text->size] = '\0';
    }
}

void cam_text_add(struct cam_text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (length >= 0 && reserve(text, (size_t)length)) {
        va_start(args, format);
        (void)vsnprintf(text->bytes + text->size, (size_t)length + 1, format, args);
        va_end(args);
        text->size += (size_t)length;
    }
}

bool cam_text_ok(const struct cam_text *text)
{
    return !text->failed;
}

void cam_text_release(struct cam_text *text)
{
    cam_free(text->bytes);
    *text = (struct cam_text){0};
}

enum { WORD_MAX = 63 };

static size_t least_of(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Optimal string alignment of two words of at most WORD_MAX: Levenshtein's distance, where two
 * neighbours that changed places are one slip and not two. */

static size_t edit_distance(const char *a, const char *b)
{
    size_t rows[3][WORD_MAX + 1];
    size_t *before = rows[0]; /* of i - 2 letters of a */
    size_t *above = rows[1];
    size_t *row = rows[2];
    size_t a_size = strlen(a);
    size_t b_size = strlen(b);
    for (size_t j = 0; j <= b_size; j++) {
        row[j] = j;
    }
    for (size_t i = 1; i <= a_size; i++) {
        size_t *free_row = before;
        before = above;
        above = row;
        row = free_row;
        row[0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            size_t substitute = above[j - 1] + (a[i - 1] == b[j - 1] ? 0U : 1U);
            row[j] = least_of(substitute, least_of(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                row[j] = least_of(row[j], before[j - 2] + 1);
            }
        }
    }
    return row[b_size];
}

const char *cam_nearest(const char *word, const char *const *names, size_t count)
{
    const char *best = NULL;
    size_t size = strlen(word);
    size_t allowed = size < 5 ? 1 : (size + 1) / 3;
    size_t best_distance = allowed + 1;
    if (size > WORD_MAX) {
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        if (strlen(names[i]) > WORD_MAX) {
            continue;
        }
        size_t distance = edit_distance(word, names[i]);
        if (distance < best_distance) {
            best_distance = distance;
            best = names[i];
        }
    }
    return best;
}
