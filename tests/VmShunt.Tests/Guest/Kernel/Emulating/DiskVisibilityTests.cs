using VmShunt.BlockDriver.Requests;
using VmShunt.Guest.Emulating;

namespace VmShunt.Tests.Guest.Kernel.Emulating;

/// <summary>When queries find the emulated disk.</summary>
public class DiskVisibilityTests
{
    [Fact]
    public void The_disk_is_hidden_only_while_it_is_shunted_and_suppression_is_on()
    {
        var disk = new DiskVisibility();
        Assert.False(disk.Now.IsHidden);
        disk.NoteShunted(true);
        Assert.True(disk.Now is { IsHidden: true, IsShunted: true });
        disk.Suppress(false);
        Assert.True(disk.Now is { IsHidden: false, IsShunted: true });
        disk.Suppress(true);
        disk.NoteShunted(false);
        Assert.True(disk.Now is { IsHidden: false, IsShunted: false });
    }

    [Fact]
    public void The_generation_counts_changes_of_what_queries_find()
    {
        var disk = new DiskVisibility();
        disk.NoteShunted(true);
        disk.NoteShunted(true);
        disk.NoteShunted(false);
        disk.Suppress(false);
        disk.NoteShunted(true);
        Assert.Equal(2, disk.Now.Generation);
    }

    [Fact]
    public void Costs_are_judged_per_request_type_and_length_after_enough_measurements()
    {
        var costs = new TrapCosts();
        for (var i = 0; i < 7; i++) costs.Note(BlockOperation.Flush, 0, 10_000);
        for (var i = 0; i < 8; i++) costs.Note(BlockOperation.Read, 512, 1_000);
        Assert.False(costs.IsCostly(BlockOperation.Flush, 0));
        costs.Note(BlockOperation.Flush, 0, 10_000);
        Assert.True(costs.IsCostly(BlockOperation.Flush, 0));
        Assert.False(costs.IsCostly(BlockOperation.Read, 512) || costs.IsCostly(BlockOperation.Read, 4096));
    }
}
