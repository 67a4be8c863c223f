/*
 * The reference backend: every operator as plain loops in double, the definition that the others
 * are tested against.  Storage is f32, or f64 where it was opened so (finite differences).  It
 * runs plans of any kind, fused programs too.  Owner: whoever opened it; threads as backend.h.
 */
#ifndef REFERENCE_H
#define REFERENCE_H

#include "kernels/backend.h"

const struct backend *reference_backend(void);

#endif
