module bench;
  logic        clk = 0;
  logic        rst, write_a, write_b;
  logic [3:0]  index_a, index_b, read_1, read_2;
  logic [31:0] data_a, data_b, value_1, value_2;

  register_file dut (
    .clk(clk), .rst(rst), .write_a(write_a), .index_a(index_a), .data_a(data_a), .write_b(write_b), .index_b(index_b),
    .data_b(data_b), .read_1(read_1), .read_2(read_2), .value_1(value_1), .value_2(value_2)
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
  logic [31:0] model[0:15];

  task automatic check(input string what, input logic [63:0] got, input logic [63:0] want);
    if (got !== want) begin
      if (errors == 0) $display("FAIL %0s is %0h, not %0h, at %0t", what, got, want, $time);
      errors++;
    end
  endtask

  task automatic outputs;
    check("value_1", value_1, model[read_1]);
    check("value_2", value_2, model[read_2]);
  endtask

  task automatic cycle(input logic first, input logic [3:0] a, input logic second, input logic [3:0] b);
    write_a = first;
    index_a = a;
    data_a = random();
    write_b = second;
    index_b = b;
    data_b = random();
    read_1 = random() % 2 == 0 ? a : 4'(random());
    read_2 = random() % 2 == 0 ? b : a;
    #1 outputs();
    if (rst) for (int i = 0; i < 16; i++) model[i] = 0;
    else begin
      if (first && a != 0) model[a] = data_a;
      if (second && b != 0) model[b] = data_b;
    end
    @(negedge clk);
    outputs();
    read_1 = b;
    #1 outputs();
  endtask

  initial begin
    {write_a, index_a, data_a, write_b, index_b, data_b, read_1, read_2} = '0;
    rst = 1;
    @(negedge clk);
    for (int i = 0; i < 16; i++) model[i] = 0;
    cycle(1, 5, 1, 6);
    rst = 0;
    for (int i = 0; i < 16; i++) cycle(1, 4'(i), 1, 4'(15 - i));
    for (int i = 0; i < 16; i++) cycle(1, 4'(i), 1, 4'(i));
    rst = 1;
    cycle(1, 15, 1, 14);
    rst = 0;
    for (int i = 0; i < 16; i++) cycle(0, 4'(i), 0, 4'(15 - i));
    repeat (3000) begin
      rst = random() % 128 == 0;
      cycle(1'(random()), 4'(random()), 1'(random()), random() % 4 == 0 ? index_a : 4'(random()));
    end
    if (errors == 0) $display("PASS");
    $finish;
  end
endmodule
