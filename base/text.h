/*
 * A growing string, and the small text helpers that error messages need.
 * Calling sequence: struct cam_text t = {0}; cam_text_add(&t, ...); ... cam_text_release(&t).
 * A failed allocation is remembered: later additions do nothing and cam_text_ok says so once, at
 * the end, so that building a text needs no check a line.
 */
#ifndef CAM_TEXT_H
#define CAM_TEXT_H

#include <stdbool.h>
#include <stddef.h>

struct cam_text {
    char *bytes; /* zero-terminated once anything was added; NULL before */
    size_t size; /* without the terminator */
    size_t capacity;
    bool failed;
};

void cam_text_add(struct cam_text *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void cam_text_add_bytes(struct cam_text *text, const void *bytes, size_t size);
bool cam_text_ok(const struct cam_text *text);
void cam_text_release(struct cam_text *text);

/*
 * The name in names[count] nearest to word by edit distance, or NULL where none is near enough
 * to be what was meant (one edit in a short word, a third of the letters in a longer one).
 */
const char *cam_nearest(const char *word, const char *const *names, size_t count);

#endif
