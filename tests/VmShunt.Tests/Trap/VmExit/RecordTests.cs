using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using VmShunt.Trap.VmExit;

namespace VmShunt.Tests.Trap.VmExit;

public sealed class RecordTests
{
    [Fact]
    public void Every_record_has_its_documented_size()
    {
        Assert.Equal(144, Unsafe.SizeOf<ProcessorState>());
        Assert.Equal(168, Unsafe.SizeOf<ExitRecord>());
        Assert.Equal(176, Unsafe.SizeOf<ResumeRecord>());
        Assert.Equal(56, Unsafe.SizeOf<Hello>());
        Assert.Equal(96, Unsafe.SizeOf<Welcome>());
    }

    [Theory]
    [InlineData(typeof(ProcessorState), "Rax=0 Rbx=8 Rcx=16 Rdx=24 Rsi=32 Rdi=40 Rbp=48 Rsp=56 R8=64 R9=72 R10=80 R11=88 R12=96 R13=104 R14=112 R15=120 Rip=128 Rflags=136")]
    [InlineData(typeof(ExitRecord), "Processor=0 Reason=4 Address=8 Size=16 Sequence=20 State=24")]
    [InlineData(typeof(ResumeRecord), "Action=0 Sequence=4 InstructionLength=8 Vector=12 DescriptorCount=16 FaultCode=20 TextLength=24 State=32")]
    [InlineData(typeof(Hello), "Magic=0 Version=8 Kind=12 MemoryBytes=16 Processors=24 PartitionId=28 Index=32 ProcessId=36 Key=40")]
    [InlineData(typeof(Welcome), "Magic=0 Version=8 Refused=12 PartitionId=16 DeviceCount=20 Key=24 RamBytes=40 LowBytes=48 HighAddress=56 CrashReserveAddress=64 CrashReserveBytes=72 EcamAddress=80 TextLength=88 DescriptorCount=92")]
    public void Every_field_has_its_documented_offset(Type record, string expected)
    {
        var fields = record.GetFields().Where(f => !f.IsStatic).Select(f => (f.Name, Offset: (int)Marshal.OffsetOf(record, f.Name)));
        Assert.Equal(expected, string.Join(' ', fields.OrderBy(f => f.Offset).Select(f => $"{f.Name}={f.Offset}")));
    }

    [Fact]
    public void Magic_and_signature_are_readable_text_on_the_wire()
    {
        Assert.Equal("VMSHUNTX", Encoding.ASCII.GetString(BitConverter.GetBytes(Hello.ExpectedMagic)));
        Assert.Equal("VmShuntHv\0\0\0\0\0\0\0", Encoding.ASCII.GetString([.. BitConverter.GetBytes(Hypercall.SignatureLow), .. BitConverter.GetBytes(Hypercall.SignatureHigh)]));
    }

    [Theory]
    [InlineData(4096ul, "0+1000@0")]
    [InlineData(0xC000_0000ul, "0+c0000000@0")]
    [InlineData(0xC000_1000ul, "0+c0000000@0 100000000+1000@c0000000")]
    public void RAM_beyond_3_GiB_is_placed_at_4_GiB(ulong ram, string expected) =>
        Assert.Equal(expected, string.Join(' ', GuestLayout.Parts(ram).Select(p => $"{p.GuestAddress:x}+{p.Size:x}@{p.FileOffset:x}")));

    [Fact]
    public void Statistics_round_trip_through_JSON_with_stable_keys()
    {
        var statistics = new HypervisorStatistics(
        [
            new PartitionStatistics(
                7, 99, 4096, 2, true, new ExitCounts(1, 2, 3, 4, 10), [new AddressCount(ExitReason.MmioRead, 0xE000_0000, 5)], 0, 6, 77,
                [new ChannelStatistics(0, true)], new CrashStatistics(3, "ab", 4096, 1, [new CrashEvent(1, "x", 8)])),
        ]);
        var json = Encoding.UTF8.GetString(statistics.ToJson());
        Assert.StartsWith("""{"partitions":[{"id":7,"processId":99,"memoryBytes":4096,"processors":2,"alive":true,"exits":{"mmioRead":1,""", json, StringComparison.Ordinal);
        Assert.Contains(""""byAddress":[{"reason":"mmioRead","address":3758096384,"count":5}]"""", json, StringComparison.Ordinal);
        Assert.Contains(""""unclaimed":6,"registerBytes":77,"""", json, StringComparison.Ordinal);
        Assert.Contains(""""crash":{"reason":3,"memorySha256":"ab","memoryBytes":4096,"channelsRevoked":1,"events":[{"sequence":1,"what":"x","monotonicNanoseconds":8}]}"""", json, StringComparison.Ordinal);
        Assert.Equal(json, Encoding.UTF8.GetString(HypervisorStatistics.FromJson(statistics.ToJson()).ToJson()));
    }
}
