using VmShunt.Ring.Virtqueue;

namespace VmShunt.Tests.Ring.Virtqueue;

public sealed class SplitQueueTests : QueueContractTests<SplitRing, SplitDriverQueue, SplitDeviceQueue>;

public sealed class SplitNotificationTests : NotificationContractTests<SplitRing, SplitDriverQueue, SplitDeviceQueue>;

public sealed class SplitModelTests : QueueModelTests<SplitRing, SplitDriverQueue, SplitDeviceQueue>;

public sealed class SplitThreadsTests : QueueThreadsTests<SplitRing, SplitDriverQueue, SplitDeviceQueue>;

public sealed class SplitSuppressionRaceTests : SuppressionRaceTests<SplitRing, SplitDriverQueue, SplitDeviceQueue>;
