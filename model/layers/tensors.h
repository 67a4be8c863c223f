/*
 * The tables of trained tensors and of buffers while layers declare them.  A layer asks for a
 * tensor by name; the first ask makes the row and its initial value, later ones (another call of
 * the part, another phase) find it.  Rows stand in the order of the first asks, so a part that is
 * declared in one go has neighbouring rows.
 */
#ifndef TENSORS_H
#define TENSORS_H

#include "model/layers/streams.h"
#include "model/recipes/training.h"

enum initial_kind {
    INITIAL_CONSTANT, /* first */
    INITIAL_UNIFORM,  /* from first to second */
    INITIAL_NORMAL,   /* mean first, standard deviation second */
};

struct initial {
    enum initial_kind kind;
    double first;
    double second;
};

/* One table; offsets are given as rows are made: whole blocks of `align` floats. */
struct tensor_table {
    struct tensor_info *rows;
    int count;
    int capacity;
    int64_t floats;
    int64_t align;
};

struct tensors {
    struct cam_arena *arena;
    struct tensor_table parameters;
    struct tensor_table buffers;
    struct graph *initial; /* the nodes of tensor_info.initial */
    struct streams *streams;
};

/* What a layer says of a tensor. */
struct tensor_wish {
    const char *name; /* copied */
    struct shape shape;
    enum export_layout layout;
    const int64_t *image; /* H, W, C for the *_IMAGE layouts, else NULL */
    int part;
    struct initial initial;
    bool fresh; /* no other tensor may have the name: each is declared by one layer, once */
};

/* The row's index.  CAM_INVALID where a tensor of the name has another shape, or must have none;
 * CAM_NO_MEMORY. */
CAM_CHECKED enum cam_code tensors_parameter(struct tensors *tensors, const struct tensor_wish *wish,
                                            int *slot_out, struct cam_err *err);
CAM_CHECKED enum cam_code tensors_buffer(struct tensors *tensors, const struct tensor_wish *wish,
                                         int *slot_out, struct cam_err *err);

#endif
