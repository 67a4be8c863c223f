#include "model/graph/graph.h"

#include "base/mem.h"
#include "model/graph/node_equal.h"
#include "model/graph/op.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A plan of the most nodes takes some seconds, and its time grows with their square. */
enum { NODES_FIRST = 256, NODES_MAX = 1 << 17 };

/* ENGINE.md, limits: 32-bit element indices everywhere below. */
#define ELEMENTS_MAX ((int64_t)1 << 31)

struct graph {
    struct cam_arena *arena;
    struct node **nodes; /* each in the arena, so that a node never moves */
    int count;
    int capacity;
    int *shared; /* hash table over nodes: its size is a power of two; NODE_NONE: free */
    int shared_size;
    const char *path;
    bool backward;
    struct cam_err err; /* code CAM_OK: none yet */
};

struct graph *graph_create(void)
{
    struct graph *graph = cam_alloc(1, sizeof *graph);
    if (graph == NULL) {
        return NULL;
    }
    graph->arena = cam_arena_create();
    graph->path = "";
    if (graph->arena == NULL) {
        graph_destroy(graph);
        return NULL;
    }
    return graph;
}

void graph_destroy(struct graph *graph)
{
    if (graph == NULL) {
        return;
    }
    cam_arena_destroy(graph->arena);
    cam_free(graph->shared);
    cam_free(graph->nodes);
    cam_free(graph);
}

enum cam_code graph_status(const struct graph *graph, struct cam_err *err)
{
    return graph->err.code == CAM_OK ? CAM_OK
                                     : cam_fail(err, graph->err.code, "%s", graph->err.text);
}

int graph_fail(struct graph *graph, enum cam_code code, const char *format, ...)
{
    if (graph->err.code == CAM_OK) {
        va_list arguments;
        va_start(arguments, format);
        (void)vsnprintf(graph->err.text, sizeof graph->err.text, format, arguments);
        va_end(arguments);
        graph->err.code = code;
    }
    return NODE_NONE;
}

void graph_set_path(struct graph *graph, const char *path)
{
    if (strcmp(path, graph->path) == 0) {
        return;
    }
    const char *copy = cam_arena_strdup(graph->arena, path);
    if (copy == NULL) {
        graph_fail(graph, CAM_NO_MEMORY, "no memory for a graph");
        return;
    }
    graph->path = copy;
}

bool graph_set_backward(struct graph *graph, bool backward)
{
    bool before = graph->backward;
    graph->backward = backward;
    return before;
}

int graph_count(const struct graph *graph)
{
    return graph->count;
}

const struct node *graph_node(const struct graph *graph, int node)
{
    static const struct node NONE = {.shape = {.rank = 4, .dim = {1, 1, 1, 1}}, .path = ""};
    return node == NODE_NONE ? &NONE : graph->nodes[node];
}

struct cam_arena *graph_arena(struct graph *graph)
{
    return graph->arena;
}

void graph_mark_between(const struct graph *graph, int last, const int *wrt, int count,
                        bool *between_out)
{
    /* First what `last` needs, then of that what depends on wrt: a node's inputs come before it. */
    for (int n = 0; n <= last; n++) {
        between_out[n] = n == last;
    }
    for (int n = last; n >= 0; n--) {
        const struct node *node = graph->nodes[n];
        for (int i = 0; between_out[n] && i < node->input_count; i++) {
            between_out[node->input[i]] = true;
        }
    }
    for (int n = 0; n <= last; n++) {
        const struct node *node = graph->nodes[n];
        bool depends = false;
        for (int i = 0; i < count && !depends; i++) {
            depends = wrt[i] == n;
        }
        for (int i = 0; i < node->input_count && !depends; i++) {
            depends = between_out[node->input[i]];
        }
        between_out[n] = between_out[n] && depends;
    }
}

/* The slot of the table that holds an equal node, or the free one where it belongs. */
static int *find_shared(const struct graph *graph, const struct node *node)
{
    unsigned mask = (unsigned)graph->shared_size - 1u;
    unsigned place = node_hash(node) & mask;
    while (graph->shared[place] != NODE_NONE &&
           !node_equal(graph->nodes[graph->shared[place]], node)) {
        place = (place + 1u) & mask;
    }
    return &graph->shared[place];
}

/* Room in the table for one node more: at most half of it is taken. */
static bool reserve_shared(struct graph *graph)
{
    if (2 * (graph->count + 1) <= graph->shared_size) {
        return true;
    }
    int size = graph->shared_size == 0 ? 4 * NODES_FIRST : 2 * graph->shared_size;
    int *table = cam_alloc((size_t)size, sizeof *table);
    if (table == NULL) {
        graph_fail(graph, CAM_NO_MEMORY, "no memory for a graph of %d nodes", graph->count);
        return false;
    }
    cam_free(graph->shared);
    graph->shared = table;
    graph->shared_size = size;
    for (int i = 0; i < size; i++) {
        table[i] = NODE_NONE;
    }
    for (int n = 0; n < graph->count; n++) {
        *find_shared(graph, graph->nodes[n]) = n;
    }
    return true;
}

static int push(struct graph *graph, const struct node *node)
{
    if (!reserve_shared(graph)) {
        return NODE_NONE;
    }
    int *shared = find_shared(graph, node);
    if (*shared != NODE_NONE) {
        return *shared;
    }
    if (graph->count == NODES_MAX) {
        return graph_fail(graph, CAM_INVALID,
                          "more than %d operators; where a penalty takes the gradient of a "
                          "recurrent layer, each of its steps needs some of its own: fewer steps "
                          "or layers are needed",
                          NODES_MAX);
    }
    if (graph->count == graph->capacity) {
        int capacity = graph->capacity == 0 ? NODES_FIRST : 2 * graph->capacity;
        struct node **nodes =
            cam_grow(graph->nodes, (size_t)graph->capacity, (size_t)capacity, sizeof *nodes);
        if (nodes == NULL) {
            return graph_fail(graph, CAM_NO_MEMORY, "no memory for a graph of %d nodes", capacity);
        }
        graph->nodes = nodes;
        graph->capacity = capacity;
    }
    struct node *copy = cam_arena_alloc(graph->arena, 1, sizeof *copy);
    if (copy == NULL) {
        return graph_fail(graph, CAM_NO_MEMORY, "no memory for a graph");
    }
    *copy = *node;
    graph->nodes[graph->count] = copy;
    *shared = graph->count;
    return graph->count++;
}

static bool check_size(struct graph *graph, const struct node *node)
{
    char text[96];
    int64_t count = 1;
    for (int i = 0; i < node->shape.rank; i++) {
        int64_t size = node->shape.dim[i];
        if (size < 1 || size >= ELEMENTS_MAX || count * size >= ELEMENTS_MAX) {
            graph_fail(graph, CAM_INVALID,
                       "%s gives a tensor of shape %s, allowed are 1 to 2^31 - 1 elements",
                       op_get(node->op)->name, shape_text(&node->shape, text, sizeof text));
            return false;
        }
        count *= size;
    }
    return true;
}

int graph_append(struct graph *graph, enum op_kind op, const int *inputs, int input_count,
                 const struct op_attr *attr)
{
    const struct op *row = op_get(op);
    const struct node *nodes[NODE_INPUTS_MAX] = {0};
    struct node node = {
        .op = op, .input_count = input_count, .path = graph->path, .backward = graph->backward};
    if (graph->err.code != CAM_OK) {
        return NODE_NONE;
    }
    if (input_count > NODE_INPUTS_MAX ||
        (row->input_count >= 0 ? input_count != row->input_count : input_count < 1)) {
        return graph_fail(graph, CAM_INTERNAL, "%s got %d inputs", row->name, input_count);
    }
    for (int i = 0; i < input_count; i++) {
        if (inputs[i] < 0 || inputs[i] >= graph->count) {
            return graph_fail(graph, CAM_INTERNAL, "%s reads node %d of %d", row->name, inputs[i],
                              graph->count);
        }
        node.input[i] = inputs[i];
        nodes[i] = graph->nodes[inputs[i]];
    }
    if (attr != NULL) {
        node.attr = *attr;
    }
    struct cam_err err = {0};
    enum cam_code rc = row->infer(nodes, input_count, &node.attr, &node.shape, &err);
    if (rc != CAM_OK) {
        return graph_fail(graph, rc, "%s", err.text);
    }
    return check_size(graph, &node) ? push(graph, &node) : NODE_NONE;
}

int graph_leaf(struct graph *graph, enum op_kind op, int slot, const struct shape *shape)
{
    return graph_append(graph, op, NULL, 0, &(struct op_attr){.slot = slot, .shape = *shape});
}

int graph_constant(struct graph *graph, double value, const struct shape *shape)
{
    return graph_append(graph, OP_CONSTANT, NULL, 0,
                        &(struct op_attr){.value = value, .shape = *shape});
}

int graph_random(struct graph *graph, enum op_kind op, const struct shape *shape, uint32_t stream,
                 bool by_row)
{
    return graph_append(graph, op, NULL, 0,
                        &(struct op_attr){.shape = *shape, .stream = stream, .by_row = by_row});
}
