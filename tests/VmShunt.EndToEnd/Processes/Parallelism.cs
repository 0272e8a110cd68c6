// Every class is a collection of its own, and two of them run at a time: most tests wait for processes to start, to answer
// or to exit, and none asserts a time.
[assembly: CollectionBehavior(MaxParallelThreads = 2)]
