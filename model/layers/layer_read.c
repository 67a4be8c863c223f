/* Attributes of a layer, with the sticky error. */
#include "model/layers/layer.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

static const char *file_name(const struct layer *layer)
{
    return layer->call->job->file_name;
}

void layer_fail(struct layer *layer, const char *key, const char *format, ...)
{
    char text[512];
    if (layer->rc != CAM_OK) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    bool given = key != NULL && doc_get(layer->attributes, key) != NULL;
    int line = given ? doc_line(layer->attributes, key) : layer->spec->line;
    layer->rc = doc_fail(file_name(layer), line, &layer->err, "%s (%s): %s", layer->path,
                         layer->spec->type, text);
}

void layer_read_int(struct layer *layer, const char *key, int64_t least, int64_t most, int64_t *out)
{
    if (layer->rc == CAM_OK) {
        layer->rc = doc_read_int(layer->attributes, key, least, most, out, &layer->err);
    }
}

void layer_read_real(struct layer *layer, const char *key, double least, double most, double *out)
{
    if (layer->rc == CAM_OK) {
        layer->rc = doc_read_real(layer->attributes, key, least, most, out, &layer->err);
    }
}

void layer_read_bool(struct layer *layer, const char *key, bool *out)
{
    if (layer->rc == CAM_OK) {
        layer->rc = doc_read_bool(layer->attributes, key, out, &layer->err);
    }
}

void layer_read_choice(struct layer *layer, const char *key, const char *const *names, size_t count,
                       int *out)
{
    if (layer->rc == CAM_OK) {
        layer->rc = doc_read_choice(layer->attributes, key, names, count, out, &layer->err);
    }
}

void layer_read_text(struct layer *layer, const char *key, const char **out)
{
    if (layer->rc == CAM_OK) {
        layer->rc = doc_read_text(layer->attributes, key, out, &layer->err);
    }
}

void layer_read_pair(struct layer *layer, const char *key, int64_t least, int64_t most,
                     int64_t out[2])
{
    const struct doc_node *node = doc_get(layer->attributes, key);
    if (node == NULL || layer->rc != CAM_OK) {
        return;
    }
    bool list = node->kind == DOC_LIST && node->count == 2;
    for (int i = 0; i < 2; i++) {
        int64_t value = 0;
        if (!doc_int(list ? node->items[i] : node, &value) || value < least || value > most) {
            char found[80];
            layer_fail(layer, key,
                       "%s is %s, a whole number or a list of two (height, width) from %" PRId64
                       " to %" PRId64 " is expected",
                       key, doc_describe(node, found, sizeof found), least, most);
            return;
        }
        out[i] = value;
    }
}

void layer_require(struct layer *layer, const char *key, const char *example)
{
    if (doc_get(layer->attributes, key) == NULL) {
        layer_fail(layer, NULL, "%s is missing, such as {%s: %s}", key, key, example);
    }
}
