"""An order of elimination with little fill: approximate minimum degree on the quotient graph.

Amestoy, Davis and Duff (1996), doi:10.1137/S0895479894278952.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

Array = np.ndarray[Any, np.dtype[Any]]


def order(count: int, starts: Array, neighbours: Array) -> Array:
    """Which of `count` nodes is eliminated first, second, ...: given the graph by rows, as `neighbourhoods` does."""
    return np.asarray(_minimum_degree(count, starts, neighbours))


def neighbourhoods(count: int, edges: Array) -> tuple[Array, Array]:
    """Each node's neighbours, once each and without itself, as rows of a compressed matrix."""
    starts, neighbours = _neighbourhoods(count, np.ascontiguousarray(edges, np.int32))
    return starts, neighbours


@njit(cache=True, nogil=True)
def _neighbourhoods(count, edges):  # type: ignore[no-untyped-def]
    starts = np.zeros(count + 1, np.int32)
    for e in range(len(edges)):
        if edges[e, 0] != edges[e, 1]:
            starts[edges[e, 0] + 1] += 1
            starts[edges[e, 1] + 1] += 1
    for i in range(count):
        starts[i + 1] += starts[i]
    place = np.empty(count, np.int32)
    mark = np.empty(count, np.int32)
    for i in range(count):
        place[i] = starts[i]
        mark[i] = -1
    raw = np.empty(starts[count], np.int32)
    for e in range(len(edges)):
        a, b = edges[e, 0], edges[e, 1]
        if a != b:
            raw[place[a]] = b
            place[a] += 1
            raw[place[b]] = a
            place[b] += 1
    kept = 0
    for i in range(count):
        begin, end = starts[i], starts[i + 1]
        starts[i] = kept
        for p in range(begin, end):
            if mark[raw[p]] != i:
                mark[raw[p]] = i
                raw[kept] = raw[p]
                kept += 1
    starts[count] = kept
    return starts, raw[:kept]


@njit(cache=True, nogil=True)
def _minimum_degree(count, starts, neighbours):  # type: ignore[no-untyped-def]
    # Every node's list lies in `space`: first the elements (eliminated cliques) it touches, then plain neighbours.
    # A new element is written behind all others; when the room is used up, the live lists are moved together.
    room = len(neighbours) + len(neighbours) // 2 + 8 * count + 64
    space = np.empty(room, np.int32)
    for p in range(len(neighbours)):
        space[p] = neighbours[p]
    begin, length, degree = np.empty(count, np.int32), np.empty(count, np.int32), np.empty(count, np.int32)
    for i in range(count):
        begin[i] = starts[i]
        length[i] = degree[i] = starts[i + 1] - starts[i]
    cliques = np.zeros(count, np.int32)  # how many of a node's list are elements
    weight = np.empty(count, np.int32)  # nodes merged into this one; 0 when gone
    element = np.zeros(count, np.bool_)
    head = np.empty(count + 1, np.int32)
    following, previous = np.empty(count, np.int32), np.empty(count, np.int32)
    # Merged nodes follow the one they were merged into, as a linked list.
    chain, tail = np.empty(count, np.int32), np.empty(count, np.int32)
    buckets, kin = np.empty(count, np.int32), np.empty(count, np.int32)
    head[count] = -1
    for i in range(count):
        head[i] = following[i] = previous[i] = chain[i] = buckets[i] = kin[i] = -1
        weight[i] = 1
        tail[i] = i
    for i in range(count - 1, -1, -1):
        d = degree[i]
        following[i] = head[d]
        if head[d] >= 0:
            previous[head[d]] = i
        head[d] = i
    stamp = np.zeros(count, np.int64)  # members of the pivot's clique have the current stamp
    outside = np.zeros(count, np.int64)  # of an element: base + what it has outside the pivot's clique
    base = np.int64(1)
    code = np.zeros(count, np.int64)
    found = np.empty(count, np.int32)
    pivots = np.empty(count, np.int32)
    rounds = 0
    done = 0
    free = len(neighbours)
    least = 0
    turn = np.int64(0)
    while done < count:
        while head[least] < 0:
            least += 1
        pivot = head[least]
        head[least] = following[pivot]
        if head[least] >= 0:
            previous[head[least]] = -1
        need = np.int64(length[pivot] - cliques[pivot])
        for p in range(begin[pivot], begin[pivot] + cliques[pivot]):
            need += length[space[p]]
        if free + need > room:
            # Each live list's first entry is swapped for the name of its owner, to be met again in order.
            for i in range(count):
                if (weight[i] > 0 or element[i]) and length[i] > 0:
                    first = space[begin[i]]
                    space[begin[i]] = -i - 1
                    begin[i] = first
            kept = 0
            at = 0
            while at < free:
                if space[at] >= 0:
                    at += 1
                    continue
                i = -space[at] - 1
                space[kept] = begin[i]
                begin[i] = kept
                for p in range(1, length[i]):
                    space[kept + p] = space[at + p]
                kept += length[i]
                at += length[i]
            free = kept
        if free + need > room:
            room = free + need + room // 2
            larger = np.empty(room, np.int32)
            for p in range(free):
                larger[p] = space[p]
            space = larger
        # The pivot's clique: its neighbours, and those of the elements it touches, which it absorbs.
        turn += 1
        stamp[pivot] = turn
        own = free
        size = np.int64(0)
        for p in range(begin[pivot], begin[pivot] + length[pivot]):
            e = space[p]
            if p < begin[pivot] + cliques[pivot]:
                if not element[e]:
                    continue
                for s in range(begin[e], begin[e] + length[e]):
                    i = space[s]
                    if weight[i] > 0 and stamp[i] != turn:
                        stamp[i] = turn
                        space[free] = i
                        free += 1
                        size += weight[i]
                element[e] = False
            elif weight[e] > 0 and not element[e] and stamp[e] != turn:
                stamp[e] = turn
                space[free] = e
                free += 1
                size += weight[e]
        mass = weight[pivot]
        weight[pivot] = 0
        element[pivot] = True
        begin[pivot] = own
        length[pivot] = free - own
        cliques[pivot] = 0
        # How much of each neighbouring element lies outside the clique.
        largest = np.int64(0)
        for s in range(own, free):
            i = space[s]
            # Out of the lists of degrees.
            d = degree[i]
            if previous[i] >= 0:
                following[previous[i]] = following[i]
            else:
                head[d] = following[i]
            if following[i] >= 0:
                previous[following[i]] = previous[i]
            for p in range(begin[i], begin[i] + cliques[i]):
                e = space[p]
                if element[e]:
                    if outside[e] < base:
                        total = np.int64(0)
                        for t in range(begin[e], begin[e] + length[e]):
                            total += weight[space[t]]
                        outside[e] = base + total
                        largest = max(largest, total)
                    outside[e] -= weight[i]
        # Shorten the lists, bound the degrees, and find nodes that have become one.
        for s in range(own, free):
            i = space[s]
            bound = np.int64(0)
            mixed = np.int64(pivot)
            put = begin[i]
            middle = begin[i] + cliques[i]
            last = begin[i] + length[i]
            for p in range(begin[i], middle):
                e = space[p]
                if element[e]:
                    if outside[e] - base <= 0:
                        continue  # wholly inside the clique: absorbed below
                    bound += outside[e] - base
                    mixed += e
                    space[put] = e
                    put += 1
            elements = put - begin[i]
            # The pivot takes the place of an absorbed element or of a pruned neighbour; one of them has gone.
            kept = put
            for p in range(middle, last):
                j = space[p]
                if weight[j] > 0 and stamp[j] != turn and not element[j]:
                    bound += weight[j]
                    mixed += j
                    space[kept] = j
                    kept += 1
            if kept > put:
                # Room for the pivot at the head of the plain neighbours.
                space[kept] = space[put]
            space[put] = pivot
            kept += 1
            cliques[i] = elements + 1
            length[i] = kept - begin[i]
            if bound == 0:
                # Nothing outside the clique: eliminated with the pivot.
                mass += weight[i]
                size -= weight[i]
                weight[i] = 0
                chain[tail[pivot]] = i
                tail[pivot] = tail[i]
            else:
                degree[i] = min(np.int64(degree[i]), bound)
                code[i] = mixed % count
        for s in range(own, free):
            i = space[s]
            for p in range(begin[i], begin[i] + cliques[i]):
                e = space[p]
                if e != pivot and element[e] and outside[e] == base:
                    element[e] = False
        base += largest + 1
        for s in range(own, free):
            i = space[s]
            if weight[i] == 0:
                continue
            h = code[i]
            other = buckets[h]
            while other >= 0:
                if weight[other] > 0 and length[other] == length[i] and cliques[other] == cliques[i]:
                    turn += 1
                    for p in range(begin[i], begin[i] + length[i]):
                        stamp[space[p]] = turn
                    same = True
                    for p in range(begin[other], begin[other] + length[other]):
                        if stamp[space[p]] != turn:
                            same = False
                            break
                    if same:
                        weight[other] += weight[i]
                        weight[i] = 0
                        chain[tail[other]] = i
                        tail[other] = tail[i]
                        break
                other = kin[other]
            if weight[i] > 0:
                kin[i] = buckets[h]
                buckets[h] = i
        done += mass
        kept = own
        for s in range(own, free):
            i = space[s]
            buckets[code[i]] = -1
            if weight[i] > 0:
                space[kept] = i
                kept += 1
                d = min(np.int64(degree[i]) + size - weight[i], np.int64(count - done - weight[i]))
                d = max(d, np.int64(0))
                degree[i] = d
                following[i] = head[d]
                previous[i] = -1
                if head[d] >= 0:
                    previous[head[d]] = i
                head[d] = i
                least = min(least, d)
        length[pivot] = kept - own
        free = kept
        pivots[rounds] = pivot
        rounds += 1
    put = 0
    for r in range(rounds):
        i = pivots[r]
        while i >= 0:
            found[put] = i
            put += 1
            i = chain[i]
    return found
