using VmShunt.Guest.Workloads;

namespace VmShunt.Tests.Guest.Kernel.Workloads;

public class BlockPatternTests
{
    [Fact]
    public void A_block_matches_only_its_own_number_and_generation_and_no_changed_byte()
    {
        var block = new byte[4096];
        BlockPattern.Fill(block, 7, 3);
        Assert.True(BlockPattern.Matches(block, 7, 3));
        Assert.False(BlockPattern.Matches(block, 8, 3));
        Assert.False(BlockPattern.Matches(block, 7, 2));
        for (var i = 0; i < block.Length; i += 511)
        {
            block[i]++;
            Assert.False(BlockPattern.Matches(block, 7, 3));
            block[i]--;
        }
    }
}
