using Microsoft.Extensions.Logging.Abstractions;
using VmShunt.BlockBackend;
using VmShunt.BlockBackend.Disk;
using VmShunt.BlockBackend.VirtioBlk;
using VmShunt.BlockBackend.VirtioBlk.Serving;
using VmShunt.Ring.Serving;
using VmShunt.Ring.VhostUser;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Ring.Virtqueue;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.HostPartition.Block.VirtioBlk.Serving;

/// <summary>A ring served step by step, with a driver that submits a new request for each completion.</summary>
public sealed class VirtqueueHandlerTests
{
    private const int QueueSize = 256, Blocks = 32, BlockSectors = 8;

    [Fact]
    public void With_more_requests_in_the_ring_than_slots_none_starves()
    {
        using var driver = new Driver();
        for (ushort token = 0; token < 80; token++) driver.Submit(token, VirtioBlkRequestType.In);
        driver.StepsUntil(ended: 800);
        Assert.InRange(driver.FewestAnswers, 5, 10);
    }

    [Fact]
    public void Synchronous_requests_do_not_delay_completions_of_the_disk()
    {
        using var driver = new Driver();
        driver.Submit(0, VirtioBlkRequestType.In);
        for (ushort token = 1; token <= 4; token++) driver.Submit(token, VirtioBlkRequestType.Flush);
        driver.StepsUntil(ended: 100);
        Assert.InRange(driver.FewestAnswers, 10, 20);
    }

    /// <summary>Both ends of a ring on one thread: after each step, completed requests are submitted again.</summary>
    private sealed class Driver : IDisposable
    {
        private const ulong Descriptors = TestMemory.Start, Available = Descriptors + 0x1000, Used = Descriptors + 0x2000;
        private const ulong Headers = Descriptors + 0x4000, Data = Descriptors + 0x1_0000;

        private readonly DiskImage _image = new(Blocks * BlockSectors * 512);
        private readonly TestMemory _ram = new(1 << 20);
        private readonly VirtualizationDriver _disk;
        private readonly VirtioBlkDevice _device;
        private readonly VirtqueueHandler<SplitDeviceQueue> _handler;
        private readonly Dictionary<ushort, (VirtioBlkRequestType Type, int Answers)> _requests = [];
        private SplitDriverQueue _queue;

        internal Driver()
        {
            var port = FilePortDriver.Open(_image.Path, readOnly: false, direct: false, NullLogger.Instance, DiskEngine.Uring);
            _disk = new VirtualizationDriver(new HostClassDriver(port, NullLogger.Instance), "SERIAL", 512);
            _device = new VirtioBlkDevice(_disk, 1, QueueSize);
            _device.Negotiate(_device.Features & ~(VirtioBlkFeatures.InOrder | VirtioBlkFeatures.PackedRing | VirtioBlkFeatures.EventIndex));
            var descriptors = _ram.Window(Descriptors, SplitLayout.DescriptorBytes(QueueSize));
            var available = _ram.Window(Available, SplitLayout.AvailableBytes(QueueSize));
            var used = _ram.Window(Used, SplitLayout.UsedBytes(QueueSize));
            var areas = new SplitAreas(descriptors, available, used);
            _queue = new SplitDriverQueue(areas, QueueSize, eventIndex: false);
            var setup = new VringSetup(0, QueueSize, 0, (ulong)_device.Negotiated, _ram.Memory, descriptors, available, used, null, null, null, default);
            var queue = new SplitDeviceQueue(_ram.Memory, areas, QueueSize, 0, indirect: true, eventIndex: false);
            _handler = new VirtqueueHandler<SplitDeviceQueue>(queue, setup, _device, NullLogger.Instance);
        }

        /// <summary>The completions of the request with the fewest.</summary>
        internal int FewestAnswers => _requests.Values.Min(static request => request.Answers);

        internal void Submit(ushort token, VirtioBlkRequestType type)
        {
            _requests[token] = (type, _requests.GetValueOrDefault(token).Answers);
            Put(token);
        }

        internal void StepsUntil(int ended)
        {
            while (ended > 0)
            {
                if (_handler.Step(defersLong: false) == HandlerStep.Empty && _handler.IsDeep) _handler.WaitForCompletion();
                while (_queue.TryPopUsed(out var token, out _) == PopResult.Popped)
                {
                    var (type, answers) = _requests[token];
                    Assert.True(_ram.Memory.TryRead<VirtioBlkStatus>(Headers + token * 64UL + 32, out var status));
                    Assert.Equal(VirtioBlkStatus.Ok, status);
                    _requests[token] = (type, answers + 1);
                    ended--;
                    Put(token);
                }
            }
        }

        public void Dispose()
        {
            _handler.Drain();
            _handler.Close();
            _device.Dispose();
            _disk.Dispose();
            _ram.Dispose();
            _image.Dispose();
        }

        private void Put(ushort token)
        {
            var header = Headers + token * 64UL;
            var type = _requests[token].Type;
            var sector = type == VirtioBlkRequestType.In ? (ulong)(token % Blocks * BlockSectors) : 0;
            Assert.True(_ram.Memory.TryWrite(header, new VirtioBlkRequestHeader { Type = type, Sector = sector }));
            var status = new QueueBuffer(header + 32, 1);
            QueueBuffer[] buffers = type == VirtioBlkRequestType.In
                ? [new(header, VirtioBlkRequestHeader.Bytes), new(Data + token * 4096UL, BlockSectors * 512), status]
                : [new(header, VirtioBlkRequestHeader.Bytes), status];
            Assert.True(_queue.TryAdd(buffers, 1, token));
            _queue.Publish();
        }
    }
}
