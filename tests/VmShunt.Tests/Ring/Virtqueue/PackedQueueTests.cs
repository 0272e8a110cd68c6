using VmShunt.Ring.Virtqueue;

namespace VmShunt.Tests.Ring.Virtqueue;

public sealed class PackedQueueTests : QueueContractTests<PackedRing, PackedDriverQueue, PackedDeviceQueue>;

public sealed class PackedNotificationTests : NotificationContractTests<PackedRing, PackedDriverQueue, PackedDeviceQueue>;

public sealed class PackedModelTests : QueueModelTests<PackedRing, PackedDriverQueue, PackedDeviceQueue>;

public sealed class PackedThreadsTests : QueueThreadsTests<PackedRing, PackedDriverQueue, PackedDeviceQueue>;

public sealed class PackedSuppressionRaceTests : SuppressionRaceTests<PackedRing, PackedDriverQueue, PackedDeviceQueue>;
