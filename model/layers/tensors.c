#include "model/layers/tensors.h"

#include <string.h>

enum { ROWS_FIRST = 32 };

static enum cam_code no_memory(const struct tensor_wish *wish, struct cam_err *err)
{
    return cam_fail(err, CAM_NO_MEMORY, "no memory for the table of tensors at %s", wish->name);
}

static enum cam_code grow(struct tensors *tensors, struct tensor_table *table,
                          const struct tensor_wish *wish, struct cam_err *err)
{
    int capacity = table->capacity == 0 ? ROWS_FIRST : 2 * table->capacity;
    struct tensor_info *rows = cam_arena_alloc(tensors->arena, (size_t)capacity, sizeof *rows);
    if (rows == NULL) {
        return no_memory(wish, err);
    }
    if (table->count > 0) {
        memcpy(rows, table->rows, (size_t)table->count * sizeof *rows);
    }
    table->rows = rows;
    table->capacity = capacity;
    return CAM_OK;
}

/* Row 0, the stream of its name: nothing but the seed and the name makes a first weight. */
static enum cam_code initial_node(struct tensors *tensors, const struct tensor_wish *wish,
                                  int *node_out, struct cam_err *err)
{
    struct graph *graph = tensors->initial;
    const struct initial *initial = &wish->initial;
    graph_set_path(graph, wish->name);
    if (initial->kind == INITIAL_CONSTANT) {
        *node_out = graph_constant(graph, initial->first, &wish->shape);
        return graph_status(graph, err);
    }
    uint32_t stream;
    enum cam_code rc = streams_take(tensors->streams, wish->name, &stream, err);
    if (rc != CAM_OK) {
        return rc;
    }
    bool uniform = initial->kind == INITIAL_UNIFORM;
    int random = graph_random(graph, uniform ? OP_UNIFORM : OP_NORMAL, &wish->shape, stream, false);
    double width = uniform ? initial->second - initial->first : initial->second;
    *node_out = graph_offset(graph, graph_scale(graph, random, width), initial->first);
    return graph_status(graph, err);
}

static enum cam_code find_or_add(struct tensors *tensors, struct tensor_table *table,
                                 const struct tensor_wish *wish, int *slot_out, struct cam_err *err)
{
    for (int i = 0; i < table->count; i++) {
        if (strcmp(table->rows[i].name, wish->name) == 0) {
            *slot_out = i;
            return !wish->fresh && shape_equal(&table->rows[i].shape, &wish->shape)
                       ? CAM_OK
                       : cam_fail(err, CAM_INVALID, "a second tensor named %s", wish->name);
        }
    }
    enum cam_code rc = table->count == table->capacity ? grow(tensors, table, wish, err) : CAM_OK;
    if (rc != CAM_OK) {
        return rc;
    }
    struct tensor_info *row = &table->rows[table->count];
    *row = (struct tensor_info){.name = cam_arena_strdup(tensors->arena, wish->name),
                                .shape = wish->shape,
                                .layout = wish->layout,
                                .offset = table->floats,
                                .part = wish->part};
    if (wish->image != NULL) {
        memcpy(row->image, wish->image, sizeof row->image);
    }
    row->block_first = row->offset / BLOCK_FLOATS;
    row->block_count = (shape_count(&wish->shape) + BLOCK_FLOATS - 1) / BLOCK_FLOATS;
    rc = row->name == NULL ? no_memory(wish, err) : initial_node(tensors, wish, &row->initial, err);
    if (rc == CAM_OK) {
        int64_t units = (shape_count(&wish->shape) + table->align - 1) / table->align;
        table->floats += units * table->align;
        *slot_out = table->count++;
    }
    return rc;
}

enum cam_code tensors_parameter(struct tensors *tensors, const struct tensor_wish *wish,
                                int *slot_out, struct cam_err *err)
{
    return find_or_add(tensors, &tensors->parameters, wish, slot_out, err);
}

enum cam_code tensors_buffer(struct tensors *tensors, const struct tensor_wish *wish, int *slot_out,
                             struct cam_err *err)
{
    return find_or_add(tensors, &tensors->buffers, wish, slot_out, err);
}
