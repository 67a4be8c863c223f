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

/* Levenshtein distance of two words shorter than WORD_MAX. */
enum { WORD_MAX = 63 };

static size_t edit_distance(const char *a, const char *b)
{
    size_t row[WORD_MAX + 1];
    size_t a_size = strlen(a);
    size_t b_size = strlen(b);
    for (size_t j = 0; j <= b_size; j++) {
        row[j] = j;
    }
    for (size_t i = 1; i <= a_size; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            size_t substitute = diagonal + (a[i - 1] == b[j - 1] ? 0U : 1U);
            size_t shorter = row[j] < row[j - 1] ? row[j] : row[j - 1];
            diagonal = row[j];
            row[j] = substitute < shorter + 1 ? substitute : shorter + 1;
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
