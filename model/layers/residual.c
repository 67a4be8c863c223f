/*
 * residual (He 2016): body(x) + shortcut(x), where the shortcut is x itself unless it has layers,
 * and an activation of the sum.  A layer of either list is named below the residual one: NAME.conv
 * where it has a name, else NAME.2 in the body and NAME.shortcut.2 in the shortcut.
 */
#include "model/layers/layer.h"

#include <stdio.h>
#include <string.h>

static const char SHORTCUT[] = "shortcut";

static void read_list(struct layer *layer, const char *key, struct layer_list *out)
{
    struct part_call *call = layer->call;
    const struct doc_node *node = doc_get(layer->attributes, key);
    if (node != NULL && layer->rc == CAM_OK) {
        layer->rc =
            jobfile_read_layers(call->job, call->tensors->arena, node, key, out, &layer->err);
    }
}

/* Both lists' tensors stand below one name. */
static void check_names(struct layer *layer, const struct layer_list *body,
                        const struct layer_list *shortcut)
{
    for (int i = 0; i < body->count; i++) {
        const char *name = body->layers[i].name;
        bool taken = name != NULL && strcmp(name, SHORTCUT) == 0;
        for (int k = 0; k < shortcut->count && name != NULL; k++) {
            const char *other = shortcut->layers[k].name;
            taken = taken || (other != NULL && strcmp(name, other) == 0);
        }
        if (taken) {
            layer_fail(layer, "body", "a layer of the body is named '%s', as %s; names must differ",
                       name,
                       strcmp(name, SHORTCUT) == 0 ? "the shortcut itself" : "one of the shortcut");
        }
    }
}

/* What a list makes of the layer's input. */
static int run(struct layer *layer, const struct layer_list *list, const char *unnamed_path)
{
    struct layer_value out = layer->inputs[0];
    struct layer_scope scope = {.outer = layer->scope,
                                .layers = list->layers,
                                .count = list->count,
                                .path = layer->path,
                                .unnamed_path = unnamed_path,
                                .input = layer->inputs[0]};
    if (list->count > 0 && layer->rc == CAM_OK) {
        layer->rc = layers_build(layer->call, &scope, &out, &layer->err);
        graph_set_path(layer->call->graph, layer->path);
    }
    return layer->rc == CAM_OK ? out.node : NODE_NONE;
}

void residual_build(struct layer *layer)
{
    struct graph *graph = layer->call->graph;
    struct layer_list body = {0};
    struct layer_list shortcut = {0};
    char path[LAYER_NAME_SIZE + sizeof SHORTCUT + 1];
    size_t count = 0;
    const char *const *names = activation_names(&count);
    int activation = 0;
    layer_require(layer, "body", "[{dense: {units: 64}}]");
    layer_read_choice(layer, "activation", names, count, &activation);
    read_list(layer, "body", &body);
    read_list(layer, SHORTCUT, &shortcut);
    check_names(layer, &body, &shortcut);
    (void)snprintf(path, sizeof path, "%s.%s", layer->path, SHORTCUT);
    int left = run(layer, &body, layer->path);
    int right = run(layer, &shortcut, path);
    if (left < 0 || right < 0) {
        return;
    }
    struct shape of_body = shape_sample(&graph_node(graph, left)->shape);
    struct shape of_shortcut = shape_sample(&graph_node(graph, right)->shape);
    if (!shape_equal(&of_body, &of_shortcut)) {
        char a[96];
        char b[96];
        layer_fail(layer, NULL, "its body gives %s and its shortcut %s, they must be equal",
                   shape_text(&of_body, a, sizeof a), shape_text(&of_shortcut, b, sizeof b));
        return;
    }
    layer->out.node = activation_apply(layer, graph_binary(graph, OP_ADD, left, right), activation,
                                       "activation.");
}
