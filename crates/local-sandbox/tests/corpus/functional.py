# answer: [[1, 3, 6], 6, [[1, 2], [3]], "Point(x=1, y=2)", [1, 5, 9]]
import dataclasses
import functools
import heapq
import itertools
import operator

@dataclasses.dataclass
class Point:
    x: int
    y: int

sums = list(itertools.accumulate([1, 2, 3]))
product = functools.reduce(operator.mul, [1, 2, 3])
groups = [list(group) for _, group in itertools.groupby([1, 2, 3], key=lambda n: n > 2)]
heap = [9, 1, 5]
heapq.heapify(heap)
reply([sums, product, groups, repr(Point(1, 2)), [heapq.heappop(heap) for _ in range(3)]])
