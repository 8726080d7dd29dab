module bench;
  logic        clk = 0;
  logic        write, read;
  logic [4:0]  write_address, read_address;
  logic [15:0] write_data, read_data;

  bypass_ram dut (
    .clk(clk), .write(write), .write_address(write_address), .write_data(write_data), .read(read),
    .read_address(read_address), .read_data(read_data)
  );

  always #5 clk = ~clk;

  int errors = 0;
  logic [31:0] seed = 32'h2545_f491;

  function automatic logic [31:0] random();
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed;
  endfunction
  logic [15:0] model[0:31];
  logic [15:0] want;

  task automatic check(input string what, input logic [63:0] got, input logic [63:0] want);
    if (got !== want) begin
      if (errors == 0) $display("FAIL %0s is %0h, not %0h, at %0t", what, got, want, $time);
      errors++;
    end
  endtask

  task automatic cycle(input logic is_write, input logic [4:0] to, input logic is_read, input logic [4:0] from);
    write = is_write;
    write_address = to;
    write_data = 16'(random());
    read = is_read;
    read_address = from;
    if (is_write) model[to] = write_data;
    if (is_read) want = model[from];
    @(negedge clk);
    check("read_data", read_data, want);
  endtask

  initial begin
    {write, read, write_address, read_address, write_data} = '0;
    @(negedge clk);
    cycle(1, 0, 1, 0);
    for (int i = 1; i < 32; i++) cycle(1, 5'(i), 1, 5'(i - 1));
    for (int i = 0; i < 32; i++) cycle(0, 5'(i), 1, 5'(31 - i));
    cycle(1, 3, 0, 3);
    cycle(0, 3, 0, 4);
    cycle(0, 7, 1, 7);
    repeat (3000) cycle(1'(random()), 5'(random() % 8), 1'(random()), 5'(random() % 8));
    for (int i = 0; i < 32; i++) cycle(0, 5'(i), 1, 5'(i));
    if (errors == 0) $display("PASS");
    $finish;
  end
endmodule
