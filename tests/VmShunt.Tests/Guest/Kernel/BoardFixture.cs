using VmShunt.BlockBackend.Disk;

namespace VmShunt.Tests.Guest.Kernel;

/// <summary>A kernel with an AHCI disk of 8 MiB, shared by the tests of a class. Its disk is empty at first.</summary>
public sealed class BoardFixture : IDisposable
{
    internal const long DiskBytes = 8 << 20;

    internal RunningKernel Guest { get; } = RunningKernel.OnBoard(new MemoryPortDriver(DiskBytes));

    public void Dispose() => Guest.Dispose();
}
